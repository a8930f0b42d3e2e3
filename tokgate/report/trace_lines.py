"""What is printed of a run's traces: where the time of each row's round went, and which file to open."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from tokgate.errors import InputError
from tokgate.report.trace import Part, TraceSummary, read_summary
from tokgate.report.units import text_of
from tokgate.result import GroupResult
from tokgate.tracing import GroupTrace, RowTrace

_NAME_WIDTH = 65


def trace_lines(results: Sequence[GroupResult]) -> Iterator[str]:
    """Of the groups that were to be traced; none of the others."""
    for result in results:
        if result.untraced is not None:
            yield f"no trace of {result.group.id}: {result.untraced}"
        if result.trace is not None:
            yield from _group(result.group.id, result.trace)


def _group(group: str, trace: GroupTrace) -> Iterator[str]:
    yield f"trace of {group}: one round of each row, slowed by the tracing, apart from what was measured"
    for row in trace.rows:
        yield from _row(row.scenario.removeprefix(f"{group}."), row)
    if trace.nsys is not None:
        yield f"  the same launch in Nsight Systems: {trace.nsys}"


def _row(name: str, row: RowTrace) -> Iterator[str]:
    if not row.files:
        yield f"{name}: vLLM wrote no trace; its log says why"
        return
    try:
        found = read_summary(row.files[0])
    except InputError as error:
        yield f"{name}: {error}"
        return
    yield f"{name}: {text_of(row.total_s, 's')}; {_where(found)}"
    yield from (f"  {_percent(part.share):>4} {part.count:>6}x {_short(part.name)}" for part in found.top)
    more = f" and of {len(row.files) - 1} more workers beside it" if len(row.files) > 1 else ""
    yield f"  open in ui.perfetto.dev: {_near(row.files[0])}{more}"


def _where(found: TraceSummary) -> str:
    phases = [f"{part.name} {_percent(part.share)} ({_steps(part)})" for part in found.phases]
    idle = [] if found.idle_share is None else [f"GPU idle {_percent(found.idle_share)}"]
    of = "kernels" if found.on_gpu else "operators"
    return ", ".join([*phases, *idle, f"of all {of}:"])


def _steps(part: Part) -> str:
    return f"{part.count} step{'s' if part.count > 1 else ''}"


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}"


def _short(name: str) -> str:
    name = name.removeprefix("void ")
    return name if len(name) <= _NAME_WIDTH else f"{name[: _NAME_WIDTH - 3]}..."


def _near(path: Path) -> str:
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
