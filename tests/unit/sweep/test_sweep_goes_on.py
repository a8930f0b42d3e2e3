"""`tokgate sweep`, given again: after a kill, with more launches, and with another file."""

from __future__ import annotations

import signal

import pytest

from tests.unit.sweep.examples import FILE
from tests.unit.sweep.sweeping import WAIT_S, Sweep

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_killed_sweep_goes_on_where_it_was(sweep: Sweep, how: signal.Signals) -> None:
    """What had ended is kept byte for byte, and the rest is measured; the outcome is that of a run in one go."""
    process = sweep.blocked(at=3)
    process.send_signal(how)
    _, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == (-signal.SIGKILL if how is signal.SIGKILL else 130)
    assert how is signal.SIGKILL or "the same command goes on" in err
    before = sweep.files()
    assert len(before) == 3
    done = sweep()
    assert done.status == 0, done.out + done.err
    assert "3 launches are in" in done.err
    after = sweep.files()
    assert len(after) == 6
    assert {name: after[name] for name in before} == before
    again = sweep()
    assert again.out == done.out, "what is whole is shown, and nothing is measured"
    assert sweep.files() == after


def test_a_changed_file_is_not_mixed_and_fresh_begins_anew(sweep: Sweep) -> None:
    assert sweep().status == 0
    sweep.text = FILE.replace("rounds = 1", "rounds = 2")
    done = sweep()
    assert done.status == 2
    assert "was begun with something else: file.rounds 1 -> 2" in done.err
    assert sweep("--dry-run").status == 2
    fresh = sweep("--fresh")
    assert fresh.status == 0, fresh.err
    assert "what was measured before is in" in fresh.err
    assert len(list(sweep.store.folder.parent.glob("tiny-sweep.before-*/launches/*.json"))) == 6


def test_more_launches_and_other_constraints_go_on_with_what_is_there(sweep: Sweep) -> None:
    assert sweep().status == 0
    before = sweep.files()
    sweep.text = FILE.replace("launches = 3", "launches = 4").replace(
        "[[grid]]", "[[constraint]]\nmetric = 'ttft'\nmax = 1\nunit = 'ms'\n[[grid]]"
    )
    done = sweep()
    assert done.status == 1, "every setting breaks the constraint"
    assert "None of 4 settings keeps the constraints." in done.flat
    assert "ttft <= 1 ms: broken by 4 of 4" in done.flat
    assert len(sweep.files()) == 8
    assert {name: content for name, content in sweep.files().items() if name in before} == before
