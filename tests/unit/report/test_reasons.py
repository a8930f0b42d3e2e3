"""The last lines of a run that measured nothing: each reason once, with how many tests gave it; what is then listed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tokgate.report.reasons import left_to_list, nothing_measured

pytestmark = pytest.mark.unit

NOTHING = "tokgate: nothing was measured; this run says nothing of speed"


def skipped(reason: str, *marks: str) -> Any:
    return SimpleNamespace(keywords=("matrix", *marks), longrepr=("test_a.py", 8, f"Skipped: {reason}"))


class Failure:
    """pytest's representation of a failure: `shown` is what it prints, the message where nothing else is."""

    def __init__(self, text: str, shown: str | None = None) -> None:
        self.reprcrash = SimpleNamespace(message=f"Failed: {text}")
        self._shown = text if shown is None else shown

    def __str__(self) -> str:
        return self._shown


def failed(text: str, *marks: str, shown: str | None = None, sections: Any = ()) -> Any:
    return SimpleNamespace(keywords=("matrix", *marks), longrepr=Failure(text, shown), sections=sections)


def crashed(text: str) -> Any:
    return SimpleNamespace(keywords=("matrix",), longrepr=text, longreprtext=text)


def test_reasons_are_counted_the_most_frequent_first():
    stats = {"skipped": [skipped("too large"), skipped("no GPU"), skipped("no GPU")]}
    assert nothing_measured(stats) == [f"{NOTHING}:", "  2 skipped: no GPU", "  1 skipped: too large"]


def test_of_a_failure_the_first_line_is_told():
    stats = {"error": [failed("INVALID: no GPU\nmore")] * 2, "failed": [crashed("worker gw0 crashed\nlog")]}
    assert nothing_measured(stats)[1:] == ["  2 errors: INVALID: no GPU", "  1 failed: worker gw0 crashed"]


def test_one_reason_is_told_once_and_what_failed_comes_first():
    rows = [failed("no GPU")] * 2
    stats = {"skipped": [skipped("too large")] * 3, "failed": [failed("no GPU"), failed("late")], "error": rows}
    assert nothing_measured(stats)[1:] == ["  2 errors, 1 failed: no GPU", "  1 failed: late", "  3 skipped: too large"]


def test_a_red_reason_is_told_however_many_others_there_are():
    skips = [skipped(f"reason {number}") for number in range(11) for _ in range(2)]
    assert nothing_measured({"skipped": skips, "error": [failed("no GPU")]})[1] == "  1 error: no GPU"


def test_rows_that_failed_by_one_reason_are_not_listed():
    stats = {"skipped": [skipped("too large")], "error": [failed("no GPU")] * 2, "failed": [failed("no GPU")]}
    assert left_to_list(stats) == {"error": [], "failed": []}
    assert sum(map(len, stats.values())) == 4, "pytest's own are as they were"


def test_what_the_reason_does_not_tell_is_listed():
    """A row's name, where it is the only one or where others have another reason; a traceback; what was captured."""
    for rows in (
        [failed("no GPU")],
        [failed("no GPU"), failed("no GPU"), failed("no driver")],
        [failed("no GPU\nmore")] * 2,
        [failed("no GPU"), failed("no GPU", shown="def test():\nE  no GPU")],
        [failed("no GPU"), failed("no GPU", sections=[("Captured stdout", "a clue")])],
    ):
        assert left_to_list({"error": rows}) == {"error": rows}


def test_failures_that_are_no_rows_are_listed():
    broken, suite = SimpleNamespace(longrepr="ImportError", longreprtext="ImportError"), failed("no GPU", "suite")
    rows = [failed("no GPU")] * 2
    assert left_to_list({"error": [broken, *rows], "failed": [suite]}) == {"error": [broken], "failed": [suite]}


def test_a_suite_is_heard_only_where_nothing_else_says_why():
    suite = skipped("no scenario of this matrix was measured", "suite")
    assert nothing_measured({"skipped": [suite], "error": [failed("no GPU")]})[1:] == ["  1 error: no GPU"]
    assert nothing_measured({"skipped": [suite]})[1:] == ["  1 skipped: no scenario of this matrix was measured"]


def test_what_measures_nothing_by_design_gives_no_reason():
    other, module = skipped("needs two cores"), SimpleNamespace(longrepr=("a.py", 1, "Skipped: no torch"))
    other.keywords = ("unit",)
    assert nothing_measured({"skipped": [other, module], "passed": [other]}) == [NOTHING]


def test_of_many_reasons_the_rest_are_counted():
    lines = nothing_measured({"skipped": [skipped(f"reason {number}") for number in range(11)]})
    assert len(lines) == 10
    assert lines[-1] == "  and 3 other reasons (-rs tells those of skips)"
