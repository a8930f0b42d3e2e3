"""`tokgate doctor --client`: what the load client's figures are worth on this machine."""

from __future__ import annotations

from collections.abc import Callable

from tokgate.machine.check import Check
from tokgate.serving.calibrate import COURSES, OPEN_LOOP, RATES, Calibration, Cores, at_rate, calibrate, two_cores

# Of a rate that was asked of it the stub server has to keep so much to say anything about the client.
_KEPT = 0.95
_REMEDY = "end what else runs here, give the client cores of its own, or measure from a faster machine"


def client_checks(tell: Callable[[str], None]) -> list[Check]:
    """Takes a minute and a half; `tell` hears what is being done."""
    cores = two_cores()
    found = []
    for course in COURSES:
        tell(f"concurrency {course.concurrency:,}")
        found.append(accuracy(calibrate(course, cores)))
    tell(f"{OPEN_LOOP.requests_per_s:g} requests/s")
    found.append(open_loop(calibrate(OPEN_LOOP, cores)))
    return [*found, ceiling(cores, tell)]


def accuracy(calibration: Calibration) -> Check:
    """Of a closed loop."""

    def seen() -> str:
        errors = calibration.errors
        return (
            f"TTFT {1e3 * errors.ttft_s:+.2f} ms, TPOT {errors.tpot:+.2%}, P99 TPOT {errors.p99_tpot:+.2%} of the truth"
            f" at {calibration.tokens_per_s:,.0f} tok/s; {1e6 * calibration.cpu_s_per_token:.1f} ms of CPU per 1,000"
            f" tokens, {calibration.result.health.cpu_share:.0%} of a core"
        )

    return _check(f"client c={calibration.course.concurrency}", calibration, seen)


def open_loop(calibration: Calibration) -> Check:
    """Of an open loop: how late its requests are sent."""

    def seen() -> str:
        return (
            f"1 request in 100 sent {1e3 * calibration.sent_late_s:.2f} ms or more after it was due; TTFT"
            f" {1e3 * calibration.errors.ttft_s:+.2f} ms"
        )

    return _check(f"client {calibration.course.requests_per_s:g}/s", calibration, seen)


def _check(name: str, calibration: Calibration, seen: Callable[[], str]) -> Check:
    """`seen`: what is told of a calibration in which requests succeeded; there is nothing to tell of others."""
    faults = calibration.faults()
    told = [seen()] if calibration.result.successes else []
    if faults:
        return Check(name, "fail", ": ".join([*told, "; ".join(faults)]), _REMEDY)
    return Check(name, "ok", *told)


def ceiling(cores: Cores, tell: Callable[[str], None]) -> Check:
    """The most tokens a second that one process followed. No more is asked for once it, or the stub server, fails.

    Where nothing of the client's own ended it, that is a lower bound of its ceiling.
    """
    name, followed = "client ceiling", 0.0
    faults: list[str] = []
    for rate in RATES:
        tell(f"{rate:,} tok/s")
        calibration = calibrate(at_rate(rate), cores)
        kept = calibration.tokens_per_s
        faults = calibration.faults()
        if not faults:
            followed = max(followed, kept)
        if kept < _KEPT * rate:
            limit = f"the stub server could write no faster ({kept:,.0f} of {rate:,})"
            break
        if faults:
            limit = f"at {kept:,.0f}: {faults[0]}"
            break
    else:
        limit = "no more was tried"
    seen = f"one process follows {'' if faults else 'at least '}{followed:,.0f} tok/s; {limit}"
    return Check(name, "ok", seen) if followed else Check(name, "fail", seen, _REMEDY)
