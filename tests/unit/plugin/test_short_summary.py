"""What pytest prints of a run where no person watches: short in a log, shorter with -q, and in 80 columns."""

from __future__ import annotations

import pytest
from runs import Run, Runner

from tokgate.report.bar import ASCII, BOX

pytestmark = pytest.mark.unit

GROUPS, ROWS = 3, 5


def summary(done: Run) -> list[str]:
    """Tokgate's own part, up to where the session is."""
    lines = done.out.splitlines()
    (first,) = [number for number, line in enumerate(lines) if " tokgate: " in line and line.startswith("=")]
    (last,) = [number for number, line in enumerate(lines) if line.startswith("session: ")]
    return lines[first + 1 : last]


@pytest.mark.usefixtures("accepted")
def test_a_log_is_short_and_with_q_only_what_must_be_known(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line a scenario, a heading of at most three a group; with -q a night without a change is its counts alone."""
    log, quiet, slower = run(), run("-q"), run("-q", script={"slow": 1.4})
    assert (log.status, quiet.status, slower.status) == (0, 0, 1), log.out
    lines = summary(log)
    assert len(lines) <= 3 * GROUPS + ROWS + 5
    assert max(map(len, lines)) <= 80
    assert sum(BOX.change in line and line.endswith("PASS") for line in lines) == ROWS
    assert sum(line.startswith("tokgate: ") for line in log.out.splitlines()) == 1 + GROUPS, "the model, the groups"
    assert [line.split(":")[0] for line in summary(quiet)] == ["all 10 gated rows", "PASS"]
    assert "launch" not in quiet.out
    assert sum("REGRESSED" in line for line in summary(slower)) == ROWS + 2
    assert len(summary(slower)) == 2 * GROUPS + ROWS + 2
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    assert sum(line.startswith("b1.") and ASCII.change in line for line in summary(run())) == GROUPS
