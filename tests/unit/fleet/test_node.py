"""What a node's run comes to: judged where it can be believed, INVALID with the reason where not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fleet.examples import COMMIT, answer, ended, invalid, session
from tokgate import session as sessions
from tokgate.baselines import Shelf
from tokgate.errors import InputError
from tokgate.fleet.node import Gate, NodeReport, comparable, fleet_status, report_on
from tokgate.fleet.task import Answer
from tokgate.gate.verdict import Outcome
from tokgate.judging import judge_file

pytestmark = pytest.mark.unit


def gate(folder: Path, **changes: Any) -> Gate:
    shelf = Shelf(folder / "baselines")
    values = {"judge": lambda path: judge_file(path, shelf), "out": folder / "out", "commit": COMMIT}
    return Gate(**{**values, **changes})


def report(folder: Path, found: Answer | None, reason: str = "", **changes: Any) -> NodeReport:
    return report_on(ended("edge-1", found, reason), gate(folder, **changes))


def test_a_session_is_kept_with_its_nodes_name_and_judged(tmp_path: Path) -> None:
    found = report(tmp_path, answer(session()))
    assert found.verdict.outcome is Outcome.NO_BASELINE
    assert found.path == tmp_path / "out" / "night.json"
    assert sessions.read(found.path).provenance["node"] == "edge-1"
    assert found.notes == ()


def test_two_nodes_sessions_of_one_id_are_both_kept(tmp_path: Path) -> None:
    for name in ("edge-1", "edge-2"):
        report_on(ended(name, answer(session())), gate(tmp_path))
    assert {path.stem for path in (tmp_path / "out").iterdir()} == {"night", "night-edge-2"}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (None, "the node died"),
        (answer(session(), status=2), "interrupted"),
        (answer(session(), status=5), "nothing was measured"),
        (answer(session(), status=-9), "signal 9"),
        (answer(session(), status=None, reason="it had not ended after 9 s"), "it had not ended after 9 s"),
        (answer(status=4), "used wrongly"),
        (answer(status=0), "left no session"),
        (answer(session(), status=1), "its tests failed there"),
        (answer(session("a"), session("b")), "2 sessions"),
        (answer(invalid(), status=1), "others took 40%"),
        (Answer(0, "", (b"{",)), "not JSON"),
        (Answer(0, "", (b'{"schema": 9}',)), "upgrade tokgate"),
    ],
)
def test_a_run_that_cannot_be_believed_is_invalid_and_says_why(tmp_path: Path, found: Any, said: str) -> None:
    reported = report(tmp_path, found, "the node died")
    assert reported.verdict.outcome is Outcome.INVALID
    assert said in "; ".join(reported.verdict.reasons)
    assert fleet_status([reported], gate(tmp_path)) == 4
    assert comparable([reported]) == {}


def test_tests_that_failed_for_want_of_a_baseline_are_no_fault_of_the_node(tmp_path: Path) -> None:
    """With --perf-require-baseline pytest fails there as well; here that is status 3."""
    reported = report(tmp_path, answer(session(), status=1), require_baseline=True)
    assert reported.verdict.outcome is Outcome.NO_BASELINE
    assert fleet_status([reported], gate(tmp_path, require_baseline=True)) == 3


def test_baselines_that_cannot_be_used_are_bad_input_which_goes_before_all(tmp_path: Path) -> None:
    def refuse(path: Path) -> Any:
        raise InputError("edited by hand")

    refused = report(tmp_path, answer(session()), judge=refuse)
    dead = report(tmp_path, None, "the node died")
    assert refused.verdict.outcome is Outcome.INVALID
    assert fleet_status([dead, refused], gate(tmp_path)) == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"commit": "f" * 40}, "commit ffffffffff, here 0123456789: not the same code"),
        ({"commit": None, "clean": None}, "is not known"),
        ({"clean": False}, "not committed"),
        ({"niceness": 15}, "RAY_worker_niceness=0"),
    ],
)
def test_what_makes_a_node_unlike_this_checkout_is_noted(tmp_path: Path, changes: Any, said: str) -> None:
    (note,) = report(tmp_path, answer(session(), **changes)).notes
    assert said in note
