"""The load client: sends a load, and tells when each streamed message arrived."""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tokgate.errors import InputError, MeasurementError
from tokgate.serving.clientprocess import measure_in_processes
from tokgate.serving.dealer import dealer
from tokgate.serving.health import health
from tokgate.serving.load import Load, LoadResult
from tokgate.serving.loop import Stopper, drive
from tokgate.serving.share import Counts, Measured, Share, shares_of, slots_of

# Beside the connections: the loop's own, timers, logs.
_SPARE_FILES = 64


@dataclass(frozen=True)
class LoadProgress:
    """How far a load is. `output_tokens`: those told of answers that ended, and a token a message of the others.

    `elapsed_s` excludes the warm-up.
    """

    done: int
    failed: int
    running: int
    total: int
    output_tokens: int
    elapsed_s: float


def run_load(
    load: Load,
    progress: Callable[[LoadProgress], None] | None = None,
    on_begin: Callable[[], None] = lambda: None,
) -> LoadResult:
    """Sends the load and waits for its end. Blocks; not for use inside a running event loop.

    `progress` is called a few times a second, in the middle of measuring: it should take well under a millisecond.
    `on_begin` is called once, after the warm-up and just before the first request; it may take a second.
    Ctrl-C ends the load early and in order: what was open or not yet sent is recorded as cancelled. Raises InputError
    for a load that cannot be sent, MeasurementError where this machine does not allow so many connections as its slots
    may need or a client process dies.
    """
    _check(load)
    heard = _reporter(progress, len(load.requests)) if progress is not None else None
    with _queue(load) as queue:
        shares = shares_of(load, queue)
        _allow_files(max(_connections(share) for share in shares), sure=_all_at_once(load))
        if len(shares) > 1:
            return _whole(_result(measure_in_processes(shares, heard, on_begin)), load)

    async def begin() -> float:
        on_begin()
        return time.perf_counter()

    return _result([drive(shares[0], begin, None if heard is None else lambda counts: heard([counts]), Stopper())])


def _check(load: Load) -> None:
    if not load.requests:
        raise InputError("a load without requests: nothing to measure")
    if load.starts_s is not None and len(load.starts_s) != len(load.requests):
        raise InputError(f"{len(load.starts_s)} start times for {len(load.requests)} requests; expected one each")
    if load.max_concurrency is not None and load.max_concurrency < 1:
        raise InputError(f"max_concurrency {load.max_concurrency}: expected 1 or more, or None for no cap")
    if load.processes < 1:
        raise InputError(f"processes {load.processes}: expected 1 or more")
    if not load.timeout_s > 0:
        raise InputError(f"timeout_s {load.timeout_s}: expected more than 0 seconds")


def _queue(load: Load) -> contextlib.AbstractContextManager[int | None]:
    """Of a closed loop with fewer slots than requests, where several processes send it."""
    slots = slots_of(load)
    waits = load.starts_s is None and slots < len(load.requests)
    return dealer(len(load.requests)) if waits and min(load.processes, slots) > 1 else contextlib.nullcontext()


def _connections(share: Share) -> int:
    return min(share.max_concurrency or len(share.requests), len(share.requests))


def _all_at_once(load: Load) -> bool:
    """Whether all its slots will be in use; how many requests of a schedule without a cap overlap is the server's."""
    return load.starts_s is None or load.max_concurrency is not None


def _allow_files(connections: int, sure: bool) -> None:
    """Raises the soft limit on open files as far as need be, which client processes inherit.

    Where so many may not be needed it is raised as far as it goes; a connection that is one too many is a failure.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + _SPARE_FILES
    if soft == resource.RLIM_INFINITY or needed <= soft:
        return
    if hard != resource.RLIM_INFINITY and needed > hard:
        if not sure:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            return
        raise MeasurementError(
            f"{connections} connections at once need {needed} open files; this machine allows {hard} (ulimit -Hn):"
            " raise that, cap the concurrency, or spread the load over more processes"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def _reporter(progress: Callable[[LoadProgress], None], total: int) -> Callable[[Sequence[Counts]], None]:
    def report(counts: Sequence[Counts]) -> None:
        progress(
            LoadProgress(
                done=sum(each.done for each in counts),
                failed=sum(each.failed for each in counts),
                running=sum(each.running for each in counts),
                total=total,
                output_tokens=sum(each.output_tokens for each in counts),
                elapsed_s=max(each.elapsed_s for each in counts),
            )
        )

    return report


def _result(measured: Sequence[Measured]) -> LoadResult:
    started_s = min(each.started_s for each in measured)
    open_s = [each for one in measured for each in one.open_s]
    records = sorted((record for one in measured for record in one.records), key=lambda record: record.number)
    return LoadResult(
        records=tuple(records),
        started_s=started_s,
        # A process that was stopped before it began has ended before.
        duration_s=max(started_s, *(each.ended_s for each in measured)) - started_s,
        peak_concurrency=_peak(open_s),
        health=health(measured),
    )


def _whole(result: LoadResult, load: Load) -> LoadResult:
    """The result, of every request of the load. Raises MeasurementError for any other: it would look complete."""
    if [record.number for record in result.records] != list(range(len(load.requests))):
        raise MeasurementError(
            f"client processes tell of {len(result.records)} requests, and were given {len(load.requests)}, once each"
        )
    return result


def _peak(open_s: Sequence[tuple[float, float]]) -> int:
    """The most that were open at once; one that begins as another ends has followed it."""
    changes = sorted([(begun_s, 1) for begun_s, _ in open_s] + [(ended_s, -1) for _, ended_s in open_s])
    now = peak = 0
    for _, change in changes:
        now += change
        peak = max(peak, now)
    return peak
