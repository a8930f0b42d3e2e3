"""The last lines of a run that measured nothing: each reason once, with how many tests gave it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tokgate.report.reasons import nothing_measured

pytestmark = pytest.mark.unit

NOTHING = "tokgate: nothing was measured; this run says nothing of speed"


def skipped(reason: str, *marks: str) -> Any:
    return SimpleNamespace(keywords=("matrix", *marks), longrepr=("test_a.py", 8, f"Skipped: {reason}"))


def failed(text: str) -> Any:
    crash = SimpleNamespace(message=f"Failed: {text}")
    return SimpleNamespace(keywords=("matrix",), longrepr=SimpleNamespace(reprcrash=crash))


def crashed(text: str) -> Any:
    return SimpleNamespace(keywords=("matrix",), longrepr=text, longreprtext=text)


def test_reasons_are_counted_the_most_frequent_first():
    stats = {"skipped": [skipped("too large"), skipped("no GPU"), skipped("no GPU")]}
    assert nothing_measured(stats) == [f"{NOTHING}:", "  2 skipped: no GPU", "  1 skipped: too large"]


def test_of_a_failure_the_first_line_is_told():
    stats = {"error": [failed("INVALID: no GPU\nmore")] * 2, "failed": [crashed("worker gw0 crashed\nlog")]}
    assert nothing_measured(stats)[1:] == ["  2 errors: INVALID: no GPU", "  1 failed: worker gw0 crashed"]


def test_a_suite_is_heard_only_where_nothing_else_says_why():
    suite = skipped("no scenario of this matrix was measured", "suite")
    assert nothing_measured({"skipped": [suite], "error": [failed("no GPU")]})[1:] == ["  1 errors: no GPU"]
    assert nothing_measured({"skipped": [suite]})[1:] == ["  1 skipped: no scenario of this matrix was measured"]


def test_what_measures_nothing_by_design_gives_no_reason():
    other, module = skipped("needs two cores"), SimpleNamespace(longrepr=("a.py", 1, "Skipped: no torch"))
    other.keywords = ("unit",)
    assert nothing_measured({"skipped": [other, module], "passed": [other]}) == [NOTHING]


def test_of_many_reasons_the_rest_are_counted():
    lines = nothing_measured({"skipped": [skipped(f"reason {number}") for number in range(11)]})
    assert len(lines) == 10
    assert lines[-1] == "  and 3 other reasons (-rs tells those of skips)"
