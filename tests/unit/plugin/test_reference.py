"""--perf-reference, by running pytest with scripted launches: when pairs are measured, and what they decide."""

from __future__ import annotations

import json

import pytest
from runs import FP32, Runner

pytestmark = pytest.mark.unit


@pytest.fixture
def reference(run: Runner) -> str:
    """An environment with an older ONNX Runtime."""
    return run.python("reference", onnxruntime="1.30.0")


def sides(reference: str, of_reference: dict[str, object] | None = None, **candidate: object) -> dict[str, object]:
    """A script in which the two sides load two versions of the engine."""
    return {"engine": "1.31.1", **candidate, "of": {reference: {"engine": "1.30.0", **(of_reference or {})}}}


def test_a_slower_candidate_fails_by_its_pairs(run: Runner, reference: str) -> None:
    """Without any baseline: no launches of their own are made, the pairs judge."""
    of_reference = {"slow": 1.0}
    done = run(f"--perf-reference={reference}", script=sides(reference, of_reference, slow=1.3))
    assert done.status == 1, done.out
    assert f"REGRESSED {FP32} output_throughput" in done.out
    assert "in 12 interleaved pairs" in done.out
    assert "decode (tpot)" in done.out
    assert "than the reference" in done.out
    assert "] p " in done.out
    assert "p: in pairs" in done.out
    assert f"--perf-reference={reference}" in done.out, "the command that measures the row again has it"
    assert "reference -> candidate: onnxruntime 1.30.0 ->" in done.out
    assert all(len(row.pairs or []) == 12 and len(row.launches) == 12 for row in done.session.rows)
    told = done.session.provenance["reference"]
    assert told["software"]["onnxruntime"] == "1.30.0"
    assert told["pairs"] == 12


def test_an_equal_candidate_passes_by_its_pairs(run: Runner, reference: str) -> None:
    done = run(f"--perf-reference={reference}", "--perf-pairs=6", script=sides(reference))
    assert done.status == 0, done.out
    assert "PASS" in done.out
    assert "compared with the reference alone" in done.out
    assert all(len(row.pairs or []) == 6 for row in done.session.rows)


@pytest.mark.usefixtures("accepted")
def test_a_host_that_drifted_is_no_regression(run: Runner, reference: str) -> None:
    """Slower than the accepted sessions, but the reference is as slow: it warns, and passes."""
    done = run(f"--perf-reference={reference}", script=sides(reference, slow=1.4))
    assert done.status == 0, done.out
    assert "DRIFT" in done.out
    assert "the host moved, not the code" in done.out
    throughput = next(row for row in done.session.rows if row.key == (FP32, "output_throughput"))
    assert len(throughput.launches) == 3, "those that were held against the accepted sessions"
    assert len(throughput.pairs or []) == 12


@pytest.mark.usefixtures("accepted")
def test_what_the_accepted_sessions_let_pass_is_not_judged_anew(run: Runner, reference: str) -> None:
    """Decode is slower, prefill is not: the time to the first token keeps its verdict of the accepted sessions."""
    done = run(f"--perf-reference={reference}", script=sides(reference, {"slow": 1.0}, slow=1.4))
    assert done.status == 1, done.out
    rows = {row.metric: row for row in done.session.rows if row.scenario == FP32}
    assert rows["output_throughput"].pairs
    assert rows["tpot"].pairs, "what is not gated is there to explain"
    assert rows["ttft"].pairs is None


@pytest.mark.usefixtures("accepted")
def test_where_the_accepted_sessions_settle_all_no_pair_is_measured(run: Runner, reference: str) -> None:
    done = run(f"--perf-reference={reference}", script={"of": {reference: {"crash": True}}})
    assert done.status == 0, done.out
    assert "reference: not measured" in done.out
    assert not any(row.pairs for row in done.session.rows)


def test_a_reference_that_is_no_interpreter_is_named(run: Runner) -> None:
    """By pytest at once where nothing is there; what is no Python is known once it was run."""
    assert run("--perf-reference=/nowhere/bin/python").status == 4
    done = run("--perf-reference=/bin/false")
    assert done.status == 1
    assert "the reference, /bin/false is no usable Python" in done.out
    assert "passed" not in done.out


def test_a_reference_that_cannot_measure_is_named(run: Runner, reference: str) -> None:
    """As one without the engine: the group ends, with the side that failed."""
    done = run(f"--perf-reference={reference}", script=sides(reference, {"crash": True}))
    assert done.status == 1
    assert f"reference ({reference}): the onnx worker failed" in done.out
    assert "passed" not in done.out
    assert not done.session.valid


def test_a_reference_whose_outputs_are_wrong_is_a_fault(run: Runner, reference: str) -> None:
    done = run(f"--perf-reference={reference}", script=sides(reference, {"wrong": 0.5}))
    assert done.status == 1
    assert "INVALID" in done.out
    assert "reference: tiny-dummy.onnx.fp32 against transformers fp32: logits differ" in done.out


def test_one_engine_on_both_sides_is_no_comparison(run: Runner, reference: str) -> None:
    """The environments differ, and yet both workers loaded one version."""
    done = run(f"--perf-reference={reference}", script=sides(reference, {"engine": "1.31.1"}))
    assert done.status == 1
    assert "both sides loaded onnxruntime 1.31.1" in done.out
    assert "PYTHONPATH" in done.out


def test_ctrl_c_in_a_pair_keeps_the_pairs_that_had_ended(run: Runner, reference: str) -> None:
    done = run(f"--perf-reference={reference}", script=sides(reference, interrupt_at=5))
    assert done.status == 2, "pytest's own status for an interrupt"
    assert not done.session.valid
    assert {len(row.pairs or []) for row in done.session.rows} == {2}


def test_a_row_whose_pairs_were_disturbed_is_invalid_and_the_others_are_judged(run: Runner, reference: str) -> None:
    done = run(f"--perf-reference={reference}", script=sides(reference, {"disturbed": [FP32]}))
    assert done.status == 1
    assert "0 of 12 pairs are usable, at least 8 are needed; others took 70%" in done.out.replace("\n", " ")
    assert "PASS" in done.out
    assert not done.session.valid


def test_too_few_pairs_are_refused(run: Runner, reference: str) -> None:
    done = run(f"--perf-reference={reference}", "--perf-pairs=4")
    assert done.status == 4, "pytest's status for wrong usage"
    assert "4 pairs are too few: at least 5" in done.out


@pytest.mark.parametrize("option", ["--benchmark-disable", "-n2"])
def test_nothing_measured_is_never_a_pass(run: Runner, reference: str, option: str) -> None:
    done = run(f"--perf-reference={reference}", option)
    assert done.status == 1
    assert "benchmarks are disabled" in done.out
    assert "passed" not in done.out


def test_the_session_is_judged_alike_from_its_file(run: Runner, reference: str) -> None:
    """A stored session tells the same as the run did."""
    from tokgate.cli import main

    done = run(f"--perf-reference={reference}", script=sides(reference, {"slow": 1.0}, slow=1.3))
    (path,) = (done.folder / "sessions").glob("*.json")
    assert main(["judge", str(path), "--baselines", str(run.baselines)]) == 1
    assert json.loads(path.read_text())["telemetry"]["groups"]["tiny-dummy.onnx.fp32"]["reference_launches"]
