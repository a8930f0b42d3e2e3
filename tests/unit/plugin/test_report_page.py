"""--perf-report: the page of a run, made after it was judged and never a reason for another outcome."""

from __future__ import annotations

import pytest
from runs import FP32, Runner

pytestmark = pytest.mark.unit


def test_the_page_is_written_last_and_its_path_is_told(run: Runner) -> None:
    page = run.baselines.parent / "report.html"
    done = run(f"--perf-report={page}", script={"disturbed": [FP32]})
    assert done.status == 1
    lines = [line for line in done.out.splitlines() if line.startswith(("session: ", "report: "))]
    assert lines[-1] == f"report: {page}"
    assert "cannot be believed" in page.read_text()


def test_a_page_that_cannot_be_written_is_told_and_changes_no_outcome(run: Runner) -> None:
    (run.baselines.parent / "file").write_text("")
    done = run(f"--perf-report={run.baselines.parent / 'file' / 'report.html'}", "-k", f"[{FP32}]")
    assert done.status == 0, done.out
    assert "NO REPORT" in done.out
    assert done.session.valid
