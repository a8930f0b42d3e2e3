"""Why a run that was to measure has measured nothing, from what pytest reports of its items."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

_NOTHING = "tokgate: nothing was measured; this run says nothing of speed"
# How pytest files its reports, with the words for a count of one and of more; what makes a run red comes first.
_RED = {"error": ("error", "errors"), "failed": ("failed", "failed")}
_ENDS = {**_RED, "skipped": ("skipped", "skipped")}
_MOST_REASONS = 8

Reports = Mapping[str, Iterable[Any]]


def nothing_measured(reports: Reports) -> list[str]:
    """The lines that say so: below it the distinct reasons of the measuring items, with counts; of failures first.

    `reports`: pytest's, by its own category, as the terminal reporter keeps them in `stats`.
    """
    counts: dict[str, Counter[str]] = {}
    for end, report in _heard(reports):
        counts.setdefault(_reason(report), Counter())[end] += 1
    if not counts:
        return [_NOTHING]
    reasons = sorted(counts, key=lambda reason: (not _RED.keys() & counts[reason].keys(), -counts[reason].total()))
    told = [f"  {_counted(counts[reason])}: {reason}" for reason in reasons[:_MOST_REASONS]]
    rest = len(reasons) - len(told)
    return [f"{_NOTHING}:", *told, *([f"  and {rest} other reasons (-rs tells those of skips)"] if rest else [])]


def left_to_list(reports: Reports) -> dict[str, list[Any]]:
    """Errors and failures, by pytest's category, without those of which `nothing_measured` says all that can be said:
    several rows whose only reason, and the only one of all that failed, is the same line.
    """
    red = [report for end, report in _heard(reports) if end in _RED]
    alike = len(red) > 1 and len({_reason(report) for report in red}) == 1 and all(map(_is_its_reason, red))
    told = {id(report) for report in red} if alike else set()
    return {end: [report for report in reports[end] if id(report) not in told] for end in _RED if end in reports}


def _heard(reports: Reports) -> list[tuple[str, Any]]:
    """The reports that say why, each with its category."""
    ended = [(end, report) for end in _ENDS for report in reports.get(end, ()) if _measures(report)]
    # A suite's item only says that the others measured nothing, so it is heard where there is no other.
    return [(end, report) for end, report in ended if "suite" not in report.keywords] or ended


def _measures(report: Any) -> bool:
    # The report of a module has no keywords.
    return "matrix" in getattr(report, "keywords", ())


def _counted(ends: Counter[str]) -> str:
    return ", ".join(f"{count} {_ENDS[end][count > 1]}" for end, count in ends.items())


def _reason(report: Any) -> str:
    """Of a skip what pytest keeps beside file and line; of a failure the first line of its message."""
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    said = str(crash.message if crash is not None else report.longreprtext)
    return said.partition("\n")[0].removeprefix("Failed: ")


def _is_its_reason(report: Any) -> bool:
    """Whether pytest would print the reason of this failure and nothing else: no traceback, nothing captured."""
    # Not longreprtext: under pytest-xdist that begins with the worker's name.
    return not report.sections and str(report.longrepr).strip() == _reason(report)
