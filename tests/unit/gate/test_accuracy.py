from __future__ import annotations

import pytest

from gate.examples import GROUP, accuracy, make_row, make_session, store
from tokgate.errors import InputError
from tokgate.gate.accuracy import absolute_faults, compare_accuracy, precision_of
from tokgate.gate.verdict import Verdict

pytestmark = pytest.mark.unit


def accepted(*entries):
    sessions = [make_session(number, [make_row([[100]])], accuracy=[entry]) for number, entry in enumerate(entries)]
    return list(store(sessions))


@pytest.mark.parametrize(
    ("group", "precision"),
    [(GROUP, "int8"), (f"{GROUP}.nospin", "int8"), ("qwen2.5-0.5b.onnx.fp32.b1.p5.o50", "fp32")],
)
def test_precision_is_read_from_an_id(group, precision):
    assert precision_of(group) == precision


def test_an_id_without_a_precision_is_refused():
    with pytest.raises(InputError, match="names no precision"):
        precision_of("qwen2.5-0.5b.onnx")
    with pytest.raises(InputError, match="fp64"):
        absolute_faults(accuracy(), "fp64")


@pytest.mark.parametrize(
    ("precision", "changes", "faults"),
    [
        ("int8", {"real_weights": True, "top1_agreement": 0.80}, 0),
        ("int8", {"real_weights": True, "top1_agreement": 0.79}, 1),
        ("int8", {"real_weights": False, "top1_agreement": 0.02}, 0),
        ("fp32", {"real_weights": False, "top1_agreement": 1.0, "max_logit_diff": 7e-6}, 0),
        ("fp32", {"real_weights": False, "top1_agreement": 1.0, "max_logit_diff": 0.011}, 1),
        ("fp32", {"real_weights": True, "top1_agreement": 0.5, "max_logit_diff": 1.0}, 2),
        ("fp16", {"real_weights": True, "top1_agreement": 0.97}, 0),
        ("int8", {"real_weights": True, "top1_agreement": float("nan")}, 2),
        ("int8", {"positions": 0}, 1),
    ],
)
def test_absolute_faults(precision, changes, faults):
    assert len(absolute_faults(accuracy(**changes), precision)) == faults


def test_dummy_weights_are_held_against_their_own_accepted_figures():
    known = accepted(accuracy(top1_agreement=0.2), accuracy(top1_agreement=0.3))
    good = compare_accuracy(accuracy(top1_agreement=0.16, logit_distance=0.38), known)
    assert [row.verdict for row in good] == [Verdict.PASS, Verdict.PASS]
    top1, distance = compare_accuracy(accuracy(top1_agreement=0.14, logit_distance=0.39), known)
    assert top1.verdict is distance.verdict is Verdict.REGRESSED
    assert top1.change_pct > 0
    assert distance.change_pct > 0
    assert "0.150 allowed" in top1.why[0]


def test_a_session_counts_once_however_many_scenarios_hold_it():
    entry = accuracy()
    rows = [make_row([[1]]), make_row([[1]], scenario=f"{GROUP}.b9.p5.o50")]
    known = list(store([make_session(0, rows, accuracy=[entry])]))
    assert len(known) == 2
    assert compare_accuracy(entry, known)[0].sessions == 1


def test_real_weights_have_limits_instead_and_nothing_accepted_means_no_baseline():
    assert compare_accuracy(accuracy(real_weights=True), accepted(accuracy())) == []
    assert {row.verdict for row in compare_accuracy(accuracy(), [])} == {Verdict.NO_BASELINE}
