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


@pytest.mark.parametrize(("name", "said"), [("", "that is a folder"), ("file/report.html", "Not a directory")])
def test_a_page_that_cannot_be_written_is_wrong_usage_before_anything_is_measured(
    run: Runner, name: str, said: str
) -> None:
    (run.baselines.parent / "file").write_text("")
    page = run.baselines.parent / name
    done = run(f"--perf-report={page}")
    assert done.status == 4, done.out
    (line,) = [line for line in done.out.splitlines() if line.startswith("ERROR")]
    assert f"--perf-report {page}: " in line
    assert f"{said}; expected the name of a file" in line
    assert not done.folder.exists(), "no session, no model"


def test_a_page_that_can_no_longer_be_written_is_told_and_changes_no_outcome(run: Runner) -> None:
    page = run.baselines.parent / "report.html"
    done = run(f"--perf-report={page}", "-k", f"[{FP32}]", script={"in_the_way": str(page)})
    assert done.status == 0, done.out
    assert "NO REPORT" in done.out
    assert done.session.valid
