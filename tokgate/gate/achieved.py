"""How near a row's parts came to the machine's limits, before and now; and whether these limits fell themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from tokgate.gate.scale import size_text
from tokgate.roofline import Peaks, bound, host_loop_mean_s, peaks_of, roof, step_of

# What the peak of arithmetic was measured in.
ARITHMETIC = {"cpu": "FP32", "gpu": "FP16"}
# Probes of one quiet machine agree that well from session to session, and a smaller drop explains little.
_LEAST_FALL = 0.05
_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"))


def achieved(
    part: str,
    before_s: float,
    now_s: float,
    work: Any,
    accepted: Sequence[Mapping[str, Any]],
    machine: Mapping[str, Any],
) -> str | None:
    """'decode reads 988 MB a step: 31.2 -> 28.1 GB/s, 87% -> 78% of this machine's read bandwidth'.

    `work` is the row's entry in a session's telemetry, `accepted` the fingerprints of the sessions it is held
    against. None where the work is not known; without a side's peaks that side's share is left out.
    """
    step = step_of(work, part)
    if step is None:
        return None
    before, now = _typical(accepted), peaks_of(machine)
    peaks = now or before
    limit = roof(step, peaks) if peaks else "memory" if part == "decode" else "compute"
    amount, does, unit = (step.read_bytes, "reads", "B") if limit == "memory" else (step.flop, "computes", "FLOP")
    each = " a step" if part == "decode" else ""
    rates = _change(amount / before_s, amount / now_s, f"{unit}/s")
    line = f"{part} {does} {si(amount, unit)}{each}: {rates}"
    shares = [
        f"{word}{_percent(amount / seconds / _rate(side, limit))}"
        for word, seconds, side in (
            ("" if now else "before ", before_s, before),
            ("" if before else "now ", now_s, now),
        )
        if side
    ]
    if shares:
        line += f", {' -> '.join(shares)} of this machine's {_names(machine)[limit]}"
    if now and bound(step, now_s, now) == "overhead":
        line += "; neither memory nor arithmetic holds it up: look at the engine's own overhead"
    return line


def machine_fell(accepted: Sequence[Mapping[str, Any]], machine: Mapping[str, Any]) -> list[str]:
    """Whether the machine itself reads or computes less than in every accepted session: then that is the finding."""
    now, seen = peaks_of(machine), [peaks for entry in accepted if (peaks := peaks_of(entry))]
    if now is None or not seen:
        return []
    found = []
    for limit, unit in (("memory", "B/s"), ("compute", "FLOP/s")):
        before = [_rate(peaks, limit) for peaks in seen]
        if _rate(now, limit) < min(*before, (1 - _LEAST_FALL) * median(before)):
            fell = _change(median(before), _rate(now, limit), unit)
            found.append(f"the machine's own {_names(machine)[limit]} fell, {fell}: look at the host first")
    return found


def host_fell(accepted: Iterable[Mapping[str, Any]], machine: Mapping[str, Any]) -> list[str]:
    """Whether a core of a GPU's host was slower beside the rounds than in every accepted session that says.

    The probe is a loop of Python's: `accepted` are fingerprints of sessions of the same Python.
    """
    now = host_loop_mean_s(machine)
    seen = [found for entry in accepted if (found := host_loop_mean_s(entry)) is not None]
    if now is None or not seen or now <= max(*seen, median(seen) / (1 - _LEAST_FALL)):
        return []
    before = median(seen)
    return [
        f"a core of the host took {size_text(100 * (now / before - 1))} longer for the same loop beside the rounds, "
        f"{1e3 * before:.3g} -> {1e3 * now:.3g} ms: look at the host first"
    ]


def _names(machine: Mapping[str, Any]) -> dict[str, str]:
    return {"memory": "read bandwidth", "compute": f"{ARITHMETIC.get(str(machine.get('kind')), '')} rate".strip()}


def _rate(peaks: Peaks, limit: str) -> float:
    return peaks.read_bytes_s if limit == "memory" else peaks.flop_s


def _typical(accepted: Sequence[Mapping[str, Any]]) -> Peaks | None:
    seen = [peaks for entry in accepted if (peaks := peaks_of(entry))]
    if not seen:
        return None
    return Peaks(median(peaks.read_bytes_s for peaks in seen), median(peaks.flop_s for peaks in seen))


def _change(before: float, now: float, unit: str) -> str:
    """'31.2 -> 28.1 GB/s', both as the larger one is written."""
    factor, prefix = _prefix(max(before, now))
    return f"{_digits(before / factor)} -> {_digits(now / factor)} {prefix}{unit}"


def si(value: float, unit: str) -> str:
    """Three significant digits: 988 MB, 1.98 TFLOP."""
    factor, prefix = _prefix(value)
    return f"{_digits(value / factor)} {prefix}{unit}"


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}"


def _prefix(value: float) -> tuple[float, str]:
    return next(((factor, prefix) for factor, prefix in _PREFIXES if value >= factor), _PREFIXES[-1])


def _digits(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
