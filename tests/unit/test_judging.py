"""Files of `vllm bench serve` against the committed limits of the T4: what exits with 0, 1, 2 and 4."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serving.examples import RESULT, SCENARIO, all_failed, detailed, result, without

from tokgate.baselines import Shelf
from tokgate.cli import main
from tokgate.errors import InputError
from tokgate.gate.verdict import Outcome
from tokgate.judging import judge_file

pytestmark = pytest.mark.unit

BASELINES = Path(__file__).parents[2] / "baselines"
LOW = SCENARIO.replace("c50", "c10")
EAGER = SCENARIO.replace("fp16", "fp16.eager.ngram")


def at(tok_s: float, **changes: Any) -> dict[str, Any]:
    """A result of this throughput, in the time that it takes."""
    return result(**{"output_throughput": tok_s, "duration": RESULT["total_output_tokens"] / tok_s, **changes})


class Judge:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def file(self, data: Any, name: str = "run") -> str:
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(data))
        return str(path)

    def __call__(self, data: Any, *args: str) -> int:
        return self.run(self.file(data), "--machine", "nvidia-t4", *args)

    def run(self, *args: str) -> int:
        return main(["judge", *args, "--baselines", str(BASELINES)])


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    return Judge(tmp_path)


@pytest.mark.parametrize(("tok_s", "status"), [(3331.9, 1), (3332.0, 0), (3332.1, 0)])
def test_the_published_floor(judge: Judge, capsys: pytest.CaptureFixture[str], tok_s: float, status: int) -> None:
    assert judge(at(tok_s)) == status
    out = capsys.readouterr().out
    assert f"{tok_s:,.5g} tok/s at least 3,332 tok/s" in out
    assert ("kept 85% of the 85%" in out) == (status == 0)
    assert "code quality" in out


def test_a_broken_bound_is_told_once_where_a_card_shows_it(judge: Judge, capsys: pytest.CaptureFixture[str]) -> None:
    """Four bounds and two references; the table does not show the floor where it was not reached."""
    assert judge(at(3331.9)) == 1
    said = capsys.readouterr().out
    assert "FAIL: 3 NO-BASELINE; 3 of 4 limits kept\n" in said
    assert said.count("BROKEN") == 1
    assert "limit:" not in said
    assert "breaks the limit" not in said
    assert "c50.p512.o512 3331.9 400 ms" in said
    assert judge(at(3400.0)) == 0
    assert "; 4 of 4 limits kept\n" in capsys.readouterr().out


@pytest.mark.parametrize(("scenario", "floor"), [(LOW, 1262), (EAGER, 1874)])
def test_the_floors_of_the_other_rows(judge: Judge, scenario: str, floor: float) -> None:
    concurrency = 10 if scenario == LOW else 50
    for tok_s, status in ((floor - 0.1, 1), (floor, 0), (floor + 0.1, 0)):
        data = at(tok_s, max_concurrency=concurrency)
        assert judge(data, "--scenario", scenario) == status
        if scenario == LOW:
            assert judge(data) == status, "its shape finds it"


@pytest.mark.parametrize("scenario", [SCENARIO, LOW, EAGER])
@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"p99_tpot_ms": 50.0}, 0),
        ({"p99_tpot_ms": 50.001}, 1),
        ({"p99_ttft_ms": 2000.0}, 0),
        ({"p99_ttft_ms": 2000.1}, 1),
    ],
)
def test_the_slos_hold_for_every_row(judge: Judge, scenario: str, changes: dict[str, float], status: int) -> None:
    data = result(**changes, max_concurrency=10 if scenario == LOW else 50)
    assert judge(data, "--scenario", scenario) == status


@pytest.mark.parametrize(
    "data",
    [
        result(completed=199, failed=1),
        result(completed=199, failed=1, total_input_tokens=199 * 512, total_output_tokens=199 * 512),
        result(completed=199),
        without("failed", completed=199),
        result(total_output_tokens=102399),
        result(total_output_tokens=102401),
        result(total_output_tokens=0),
        result(p99_tpot_ms=0.0),
        result(mean_ttft_ms=0.0),
        without("p99_ttft_ms"),
        detailed(errors=[""] * 199 + ["connection reset"]),
        detailed(output_lens=[512] * 198 + [511, 513]),
        all_failed(10),
        all_failed(200),
    ],
)
def test_a_result_that_cannot_be_believed_is_4(
    judge: Judge, capsys: pytest.CaptureFixture[str], data: dict[str, Any]
) -> None:
    assert judge(data) == 4
    assert judge({**data, "output_throughput": 1.0}) == 4, "also where it breaks a limit"
    assert judge(data, "--scenario", SCENARIO) == 4
    out = capsys.readouterr().out
    assert "INVALID" in out
    assert "score card of" not in out


def test_work_that_is_not_the_named_rows_is_4(judge: Judge) -> None:
    assert judge(result(max_concurrency=200), "--scenario", SCENARIO) == 4
    assert judge(result(request_rate=2.0), "--scenario", SCENARIO) == 4


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (result(max_concurrency=20), "shape of no row"),
        (result(model_id="Qwen/Qwen2.5-7B"), "Qwen/Qwen2.5-7B"),
        (without("completed"), "there is no completed"),
        (result(output_throughput=math.nan), "output_throughput is nan"),
        (result(output_throughput="3400"), "output_throughput is '3400'"),
        (result(completed=True), "completed is True"),
    ],
)
def test_a_file_that_cannot_be_used_is_2(
    judge: Judge, capsys: pytest.CaptureFixture[str], data: dict[str, Any], message: str
) -> None:
    assert judge(data) == 2
    assert message in capsys.readouterr().err


def test_the_machine_must_be_said(judge: Judge, capsys: pytest.CaptureFixture[str]) -> None:
    path = judge.file(result())
    assert judge.run(path) == 2
    assert "--machine" in capsys.readouterr().err
    assert judge.run(path, "--machine", "../etc") == 2
    assert judge.run(path, "--machine", "nvidia-a10") == 2
    assert "unknown machine 'nvidia-a10'" in capsys.readouterr().err
    assert judge.run(path, "--machine", "nvidia-h200") == 2, "it has no limits"
    assert judge.run(path, "--machine", "nvidia-t4", "--scenario", "other") == 2


def test_another_served_name_is_judged_and_said(judge: Judge, capsys: pytest.CaptureFixture[str]) -> None:
    assert judge(result(model_id="tiny")) == 0
    assert "the file calls the model 'tiny'" in " ".join(capsys.readouterr().out.split())
    assert judge(result(model_id="Qwen/Qwen2.5-7B"), "--scenario", SCENARIO) == 0
    assert "'Qwen/Qwen2.5-7B'" in capsys.readouterr().out


@pytest.mark.parametrize("changes", [{"duration": 61.0}, {"output_throughput": 9999}, {"output_throughput": 3410.0}])
def test_a_throughput_that_does_not_follow_is_4_and_keeps_nothing(
    judge: Judge, capsys: pytest.CaptureFixture[str], changes: dict[str, float]
) -> None:
    data = result(**changes)
    assert judge(data) == 4
    said = " ".join(capsys.readouterr().out.split())
    assert f"the file says {data['output_throughput']:g} tok/s, and its 102400 tokens in {data['duration']:g} s" in said
    assert said.count("the file was edited, or its parts are of different runs") == 1
    assert "no score card: an invalid result keeps nothing" in said
    assert "limits kept" not in said


@pytest.mark.parametrize("seconds", [30.744, 30.735, 3.1449])
def test_what_two_decimals_take_off_is_no_contradiction(judge: Judge, seconds: float) -> None:
    """As vLLM prints them."""
    tok_s = 102400 / seconds
    data = at(tok_s, output_throughput=round(tok_s, 2), duration=round(seconds, 2))
    assert judge(data) == (0 if tok_s >= 3332 else 1)


def test_of_several_files_the_worst_decides(judge: Judge, capsys: pytest.CaptureFixture[str]) -> None:
    good, slow, failed, bad = (
        judge.file(data, name)
        for name, data in {
            "good": result(),
            "slow": at(3000.0),
            "failed": all_failed(),
            "bad": without("duration"),
        }.items()
    )
    for files, status in (((good, good), 0), ((good, slow), 1), ((slow, failed), 4), ((failed, slow, bad, good), 2)):
        assert judge.run(*files, "--machine", "nvidia-t4") == status
    assert capsys.readouterr().out.count("score card of") == 7


def test_json_that_is_neither_is_2(judge: Judge, capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("", "[]", '{"a": 1}', "[" * 100_000, json.dumps(result()) * 2):
        path = judge.folder / "odd.json"
        path.write_text(text)
        assert judge.run(str(path), "--machine", "nvidia-t4") == 2
        assert "odd.json" in capsys.readouterr().err


def test_no_accepted_session_is_3_where_one_is_required(judge: Judge) -> None:
    assert judge(result(), "--require-baseline") == 3
    assert judge(at(3000.0), "--require-baseline") == 1


def test_limits_of_rows_that_were_not_measured_are_told(judge: Judge, capsys: pytest.CaptureFixture[str]) -> None:
    judge(result())
    said = " ".join(capsys.readouterr().out.split())
    assert f"note: not measured: {LOW} (output_throughput, p99_tpot, p99_ttft, success_rate), {EAGER} (" in said
    assert f"not measured: {SCENARIO}" not in said
    judge(result(), "--scenario", SCENARIO)
    assert "not measured" not in capsys.readouterr().out, "one row was asked for"


def test_json_is_the_object_of_any_session(judge: Judge, capsys: pytest.CaptureFixture[str]) -> None:
    assert judge(at(3331.9), "--json") == 1
    assert judge(all_failed(), "--json") == 4
    slow, failed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert set(slow) == set(failed) >= {"session", "outcome", "rows", "suite"}
    assert (slow["outcome"], failed["outcome"]) == ("fail", "invalid")
    throughput = next(row for row in slow["rows"] if row["metric"] == "output_throughput")
    assert "breaks the limit min 3332 tok/s" in throughput["why"]
    assert "10 of 10 requests failed" in failed["reasons"][0]


NO_NUMBER = st.sampled_from([-1, -0.5, math.nan, math.inf, True, "512", [], {}])
ABSENT = st.none()
COUNT = st.integers(0, 10**6)
WRONG: dict[str, st.SearchStrategy[Any]] = {
    "num_prompts": NO_NUMBER | ABSENT | COUNT.filter(lambda count: count != 200),
    "completed": NO_NUMBER | ABSENT | COUNT.filter(lambda count: count != 200),
    "failed": NO_NUMBER | st.integers(1, 10**6),
    "max_concurrency": NO_NUMBER | ABSENT | COUNT.filter(lambda count: count not in (10, 50)),
    "total_output_tokens": NO_NUMBER | ABSENT | COUNT.filter(lambda count: count != 102400),
    "total_input_tokens": NO_NUMBER | ABSENT | COUNT.filter(lambda count: abs(count - 102400) > 2100),
    "duration": NO_NUMBER | ABSENT | st.just(0),
    "output_throughput": NO_NUMBER | ABSENT | st.floats(0, 3331.9),
    "p99_tpot_ms": NO_NUMBER | ABSENT | st.floats(0, 13.9) | st.floats(50.1, 1e9),
    "p99_ttft_ms": NO_NUMBER | ABSENT | st.floats(0, 399.9) | st.floats(2000.1, 1e9),
    "mean_ttft_ms": NO_NUMBER | st.just(0.0),
    "median_ttft_ms": NO_NUMBER | st.just(0.0) | st.floats(601, 1e9),
    "mean_tpot_ms": NO_NUMBER | st.just(0.0),
    "median_tpot_ms": NO_NUMBER | st.just(0.0) | st.floats(21.1, 1e9),
    "errors": st.lists(st.text(min_size=1).filter(str.strip), min_size=1, max_size=3),
    "output_lens": st.lists(st.integers(0, 511), min_size=200, max_size=200),
}


@st.composite
def mutations(draw: st.DrawFn) -> dict[str, Any]:
    keys = draw(st.lists(st.sampled_from(sorted(WRONG)), min_size=1, max_size=4, unique=True))
    return {key: draw(WRONG[key]) for key in keys}


@settings(max_examples=200, deadline=None)
@given(changes=mutations())
def test_no_wrong_count_or_latency_passes(tmp_path_factory: pytest.TempPathFactory, changes: dict[str, Any]) -> None:
    """Whatever of a good result is made wrong, one thing or several, it is refused, invalid or broken."""
    path = tmp_path_factory.getbasetemp() / "mutated.json"
    path.write_text(json.dumps(result(**changes)))
    try:
        verdict = judge_file(path, Shelf(BASELINES), "nvidia-t4").verdict
    except InputError:
        return
    assert verdict.outcome in (Outcome.INVALID, Outcome.FAIL)


def test_the_committed_limits_are_the_published_ones() -> None:
    from tokgate import baselines

    limits = baselines.load_limits(BASELINES, "nvidia-t4")
    workloads = baselines.load_workloads(BASELINES, "nvidia-t4")
    assert {workload.scenario for workload in workloads} == {SCENARIO, LOW, EAGER}
    assert {limit.scenario for limit in limits} == {SCENARIO, LOW, EAGER}
    for scenario in (SCENARIO, LOW, EAGER):
        held = {limit.metric: limit for limit in limits if limit.scenario == scenario}
        weights = [held[metric].weight_pct for metric in ("output_throughput", "p99_tpot", "p99_ttft", "success_rate")]
        assert weights == [40, 20, 15, 10]
    published = {(limit.metric, limit.limit) for limit in limits if limit.scenario == SCENARIO}
    assert {("mean_tpot", 14.21), ("mean_ttft", 406.0), ("output_throughput", 3332.0)} < published
