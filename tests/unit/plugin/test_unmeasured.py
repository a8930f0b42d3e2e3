"""What a run says of rows that it did not measure, and what `tokgate judge` makes of its session then."""

from __future__ import annotations

import msgspec
import pytest
from runs import FP32, Run, Runner

from tokgate.cli import main

pytestmark = pytest.mark.unit

ABSENT = "tiny-dummy.onnx.fp32.b64.p5.o50"
LIMIT = """
[[limit]]
scenario = {scenario!r}
metric = "output_throughput"
min = 1.0
unit = "tok/s"
source = "a floor"
"""


def judged(run: Runner, done: Run) -> int:
    (path,) = (done.folder / "sessions").glob("*.json")
    return main(["judge", str(path), "--baselines", str(run.baselines), "--require-baseline"])


def test_a_run_tells_the_limits_that_were_held_against_nothing(run: Runner) -> None:
    machine = run.baselines / run("-k", f"[{FP32}]").session.machine_id
    machine.mkdir()
    (machine / "limits.toml").write_text(LIMIT.format(scenario=ABSENT) + LIMIT.format(scenario=FP32))
    done = run("-k", f"[{FP32}]")
    assert done.status == 0, done.out
    said = " ".join(done.out.split())
    assert f"note: not measured: {ABSENT} (output_throughput): their limits were held against nothing" in said
    assert "1 of 1 limits kept" in said


def test_a_selections_session_lacks_rows_rightly_and_a_whole_ones_does_not(run: Runner) -> None:
    """A run tells its whole family, so one that measured all of it and lacks an accepted row has lost that."""
    whole = run().session
    assert sum(row.gated for row in whole.rows) == whole.family_size
    dropped = [msgspec.structs.replace(row, scenario=ABSENT) for row in whole.rows if row.scenario == FP32]
    run.accept(msgspec.structs.replace(whole, rows=[*whole.rows, *dropped]))
    part, again = run("-k", f"[{FP32}]", "--perf-require-baseline"), run("--perf-require-baseline")
    assert (part.status, judged(run, part)) == (0, 0), part.out
    assert (again.status, judged(run, again)) == (1, 3), again.out
    assert f"NO-BASELINE not measured: {ABSENT}: accepted in this profile" in again.out
