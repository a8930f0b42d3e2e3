"""Why a run that was to measure has measured nothing, from what pytest reports of its items."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

_NOTHING = "tokgate: nothing was measured; this run says nothing of speed"
# How pytest files its reports, with the word for a count of them.
_ENDS = {"skipped": "skipped", "error": "errors", "failed": "failed"}
_MOST_REASONS = 8


def nothing_measured(reports: Mapping[str, Iterable[Any]]) -> list[str]:
    """The lines that say so: below it the distinct reasons of the measuring items, with counts.

    `reports`: pytest's, by its own category, as the terminal reporter keeps them in `stats`.
    """
    ended = [(word, report) for end, word in _ENDS.items() for report in reports.get(end, ()) if _measures(report)]
    # A suite's item only says that the others measured nothing, so it is heard where there is no other.
    heard = [(word, report) for word, report in ended if "suite" not in report.keywords] or ended
    counts = Counter((word, _reason(report)) for word, report in heard)
    if not counts:
        return [_NOTHING]
    told = [f"  {count} {word}: {reason}" for (word, reason), count in counts.most_common(_MOST_REASONS)]
    rest = len(counts) - len(told)
    return [f"{_NOTHING}:", *told, *([f"  and {rest} other reasons (-rs tells those of skips)"] if rest else [])]


def _measures(report: Any) -> bool:
    # The report of a module has no keywords.
    return "matrix" in getattr(report, "keywords", ())


def _reason(report: Any) -> str:
    """Of a skip what pytest keeps beside file and line; of a failure the first line of its message."""
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    said = str(crash.message if crash is not None else report.longreprtext)
    return said.partition("\n")[0].removeprefix("Failed: ")
