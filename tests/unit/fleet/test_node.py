"""What a node's run comes to: judged where it can be believed, INVALID with the reason where not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fleet.examples import COMMIT, answer, ended, invalid, of_model, session
from tokgate import session as sessions
from tokgate.baselines import Shelf
from tokgate.errors import InputError
from tokgate.fleet.node import Gate, NodeReport, SessionReport, comparable, fleet_status, report_on, with_lacking
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


def only(found: NodeReport) -> SessionReport:
    (one,) = found.made
    return one


def test_a_session_is_kept_with_its_nodes_name_and_judged(tmp_path: Path) -> None:
    found = report(tmp_path, answer(session()))
    assert found.outcome is Outcome.NO_BASELINE
    assert (path := only(found).path) == tmp_path / "out" / "night.json"
    assert sessions.read(path).provenance["node"] == "edge-1"
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
        (answer(invalid(), status=1), "others took 40%"),
        (Answer(0, "", (b"{",)), "not JSON"),
        (Answer(0, "", (b'{"schema": 9}',)), "upgrade tokgate"),
    ],
)
def test_a_run_that_cannot_be_believed_is_invalid_and_says_why(tmp_path: Path, found: Any, said: str) -> None:
    reported = report(tmp_path, found, "the node died")
    assert reported.outcome is Outcome.INVALID
    assert said in "; ".join(only(reported).verdict.reasons)
    assert fleet_status([reported], gate(tmp_path)) == 4
    assert comparable([reported]) == {}


def test_tests_that_failed_for_want_of_a_baseline_are_no_fault_of_the_node(tmp_path: Path) -> None:
    """With --perf-require-baseline pytest fails there as well; here that is status 3."""
    reported = report(tmp_path, answer(session(), status=1), require_baseline=True)
    assert reported.outcome is Outcome.NO_BASELINE
    assert fleet_status([reported], gate(tmp_path, require_baseline=True)) == 3


def test_baselines_that_cannot_be_used_are_bad_input_which_goes_before_all(tmp_path: Path) -> None:
    def refuse(path: Path) -> Any:
        raise InputError("edited by hand")

    refused = report(tmp_path, answer(session()), judge=refuse)
    dead = report(tmp_path, None, "the node died")
    assert refused.outcome is Outcome.INVALID
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


def two(**changes: Any) -> Answer:
    return answer(session("a"), of_model("big", "b"), **changes)


def test_a_node_of_several_matrices_has_a_verdict_and_a_file_of_each(tmp_path: Path) -> None:
    reported = report(tmp_path, two())
    assert [(one.verdict.session, one.what, one.path) for one in reported.made] == [
        ("a", "tiny-dummy.onnx.int8", tmp_path / "out" / "a.json"),
        ("b", "big.onnx.int8", tmp_path / "out" / "b.json"),
    ]
    assert [sessions.read(path).id for path in sorted((tmp_path / "out").iterdir())] == ["a", "b"]
    assert reported.outcome is Outcome.NO_BASELINE
    assert [found.id for found in comparable([reported])["edge-1"]] == ["a", "b"]


def test_a_node_is_as_its_worst_session(tmp_path: Path) -> None:
    """A disturbed one makes it INVALID; the other keeps its verdict, and can be held against those of other nodes."""
    reported = report(
        tmp_path, answer(session("a"), of_model("big", "b", valid=False, reasons=["disturbed"]), status=1)
    )
    assert [one.verdict.outcome for one in reported.made] == [Outcome.NO_BASELINE, Outcome.INVALID]
    assert reported.outcome is Outcome.INVALID
    assert fleet_status([reported], gate(tmp_path)) == 4
    assert [found.id for found in comparable([reported])["edge-1"]] == ["a"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"status": 2}, "interrupted"),
        ({"status": None, "reason": "it had not ended after 9 s"}, "it had not ended after 9 s"),
        ({"status": 1}, "its tests failed there, and yet its sessions are no-baseline, no-baseline here"),
    ],
)
def test_what_speaks_against_the_run_speaks_against_all_its_sessions(tmp_path: Path, changes: Any, said: str) -> None:
    reported = report(tmp_path, two(**changes))
    assert [one.verdict.outcome for one in reported.made] == [Outcome.INVALID] * 2
    assert said in reported.fault
    assert all(one.verdict.reasons[0] == reported.fault for one in reported.made)
    assert comparable([reported]) == {}


def test_a_session_that_cannot_be_used_takes_nothing_from_the_others(tmp_path: Path) -> None:
    good = two().sessions
    reported = report(tmp_path, Answer(0, "", (good[0], b"{", good[1])))
    assert [str(one.verdict.outcome) for one in reported.made] == ["no-baseline", "invalid", "no-baseline"]
    assert fleet_status([reported], gate(tmp_path)) == 4
    assert {path.stem for path in (tmp_path / "out").iterdir()} == {"a", "b"}


def test_baselines_that_cannot_be_used_for_one_session_are_bad_input(tmp_path: Path) -> None:
    def refuse_b(path: Path) -> Any:
        if path.stem == "b":
            raise InputError("edited by hand")
        return judge_file(path, Shelf(tmp_path / "baselines"))

    reported = report(tmp_path, two(), judge=refuse_b)
    assert [str(one.verdict.outcome) for one in reported.made] == ["no-baseline", "invalid"]
    assert fleet_status([reported], gate(tmp_path)) == 2


def test_a_matrix_that_only_the_like_of_a_node_measured_is_invalid_there(tmp_path: Path) -> None:
    """pytest passes where it skips one matrix of several; nothing passes unmeasured."""
    other = {"machine": {"id": "big-64c-256g", "kind": "cpu"}}
    reports = [
        report_on(ended(name, found), gate(tmp_path))
        for name, found in (
            ("edge-1", two()),
            ("edge-2", answer(session("c"))),
            ("big-1", answer(session("d", **other))),
        )
    ]
    whole, lacking, unlike = with_lacking(reports)
    assert (whole, unlike) == (reports[0], reports[2]), "another machine need not run the same"
    assert [str(one.verdict.outcome) for one in lacking.made] == ["no-baseline", "invalid"]
    assert lacking.made[1].verdict.reasons == (
        "big.onnx.int8 was not measured: edge-1, edge-8c-16g too, has a session of it; why there is none here, "
        "pytest's log may say: /srv/pytest.log on the node",
    )
    assert fleet_status(reports, gate(tmp_path)) == 0
    assert fleet_status([whole, lacking, unlike], gate(tmp_path)) == 4


def test_nodes_that_each_lack_another_matrix_are_both_invalid(tmp_path: Path) -> None:
    """As many sessions each, of different matrices."""
    reports = [
        report_on(ended("edge-1", answer(session("a"))), gate(tmp_path)),
        report_on(ended("edge-2", answer(of_model("big", "b"))), gate(tmp_path)),
        report_on(ended("edge-3", answer(of_model("big", "c"))), gate(tmp_path)),
    ]
    found = [[str(one.verdict.outcome) for one in each.made] for each in with_lacking(reports)]
    assert found == [["no-baseline", "invalid"]] * 3, "the second too, though a third has no more than it"


def test_a_disturbed_matrix_was_tried_and_is_not_lacking(tmp_path: Path) -> None:
    failed = of_model(
        "big", "f", valid=False, reasons=["disturbed"], telemetry={"work": {"big.onnx.int8.b1.p5.o50": {}}}
    )
    failed.rows.clear()
    reports = [
        report_on(ended("edge-1", two()), gate(tmp_path)),
        report_on(ended("edge-2", answer(session("e"), failed, status=1)), gate(tmp_path)),
    ]
    assert with_lacking(reports) == reports
