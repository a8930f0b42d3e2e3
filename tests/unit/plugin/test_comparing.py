"""`compare`, `both_clients` and `side_by_side`, by running pytest: none says anything of a row that is not believed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from runs import FP32, ROOT, Run, Runner

from tests.unit.needs import two_cores

pytestmark = pytest.mark.unit

INT8 = FP32.replace("fp32", "int8")
HEAD = """
import pytest
pytestmark = [pytest.mark.{marker}, pytest.mark.matrix({matrix!r})]
def test_each(scenario, measure, publish, judge):
    publish(scenario, measure(scenario))
    judge(scenario)
"""
COMPARED = """
def test_compared(compare):
    compare("output_throughput", "onnx.int8.b1.p5.o50", "onnx.fp32.b1.p5.o50").within_pct(50)
"""
RAMP = "onnx.{}.generate.ramp.c5.p7.o100"
BESIDE = f"""
def test_compared(side_by_side):
    side_by_side({RAMP.format("fp32")!r}, {RAMP.format("int8")!r})
"""


def comparing(
    run: Runner, folder: Path, test: str, *args: str, marker: str = "cpu", matrix: str = "cpu.toml", **script: Any
) -> Run:
    """Runs `test` after a test of each scenario, as in a module of tests/."""
    path = folder / "test_some.py"
    path.write_text(HEAD.format(marker=marker, matrix=matrix) + test)
    plugins = ("tokgate.plugin", *(f"fixtures.{name}" for name in ("measuring", "publishing", "judging", "comparing")))
    named = [word for plugin in plugins for word in ("-p", plugin)]
    return run(
        *named, "-c", str(ROOT / "pytest.ini"), "--rootdir", str(ROOT), "-m", marker, "-rsf", *args, str(path),
        script=script,
    )  # fmt: skip


def test_two_rows_that_are_believed_are_compared(run: Runner, tmp_path: Path) -> None:
    done = comparing(run, tmp_path, COMPARED)
    assert done.status == 0, done.out
    assert "of onnx.int8.b1.p5.o50 is " in done.out


def test_rows_too_far_apart_fail(run: Runner, tmp_path: Path) -> None:
    done = comparing(run, tmp_path, COMPARED.replace("int8.b1", "int8.b8"))
    assert done.status == 1
    assert "expected within 50%" in done.out


@pytest.mark.parametrize(("args", "status"), [((), 0), (("--perf-strict",), 1)])
def test_rows_that_launches_cannot_tell_apart_are_inconclusive(
    run: Runner, tmp_path: Path, args: tuple[str, ...], status: int
) -> None:
    """Two values differ by a little always; how much launches do says whether that is anything."""
    close = COMPARED.replace("within_pct(50)", "within_pct(1)")
    done = comparing(run, tmp_path, close, "-k", "b1 or compared", *args, wobble=0.1)
    assert done.status == status, done.out
    assert re.search(r"INCONCLUSIVE: output_throughput: .*% \[-[^\n]*\] from ", done.out), done.out
    assert "expected within 1%" in done.out


CLIENTS = """
def test_compared(both_clients):
    both_clients("serve.bf16.crosscheck.c4.p32.o32").agree_within_pct(3)
"""
METRICS = ("output_throughput", "mean_tpot", "mean_ttft")


def cross_check(run: Runner, folder: Path, *args: str, lacks: Sequence[str] = (), **ours: list[float]) -> Run:
    """Of two launches of two rounds; `ours`: by how many times our figures are those of vllm bench serve, by round;
    `lacks`: metrics that no round has.
    """
    found = {metric: [1.0] for metric in METRICS} | {"mean_ttft": [0.9, 0.8]} | ours
    return comparing(
        run, folder, CLIENTS, "-k", "crosscheck or compared", *args, marker="serving_vllm_cpu",
        matrix="serving-vllm-cpu.toml", ours=found, wobble=0.3, lacks=list(lacks),
    )  # fmt: skip


@two_cores
def test_load_clients_are_held_against_each_other_in_pairs_of_rounds(run: Runner, tmp_path: Path) -> None:
    """Launches that are 30% apart are so for both clients."""
    done = cross_check(run, tmp_path)
    assert done.status == 0, done.out
    assert "INCONCLUSIVE" not in done.out
    told = [re.sub(r"\d+ tok/s|[\d.]+ ms", "#", line.strip()) for line in done.out.splitlines() if "vllm bench" in line]
    assert told == [
        "output_throughput: # of tokgate's client is +0.0% [-0.0, +0.0] from # of vllm bench serve",
        "mean_tpot: # of tokgate's client is +0.0% [-0.0, +0.0] from # of vllm bench serve",
        "mean_ttft: # of tokgate's client is -15.1% [-23.8, -5.5] from # of vllm bench serve",
        "the server did not tell its own TTFT of every round, so theirs alone decides: vllm bench serve was the later "
        "one, by # of TTFT",
    ]


@two_cores
@pytest.mark.parametrize(("args", "status"), [((), 0), (("--perf-strict",), 1)])
def test_pairs_that_cannot_tell_are_inconclusive(
    run: Runner, tmp_path: Path, args: tuple[str, ...], status: int
) -> None:
    """A mean of exactly none apart, of pairs that are 8% apart either way, shows no agreement within 3%."""
    done = cross_check(run, tmp_path, *args, mean_tpot=[1.08, 1 / 1.08])
    assert done.status == status, done.out
    assert "INCONCLUSIVE: mean_tpot: " in done.out


@two_cores
def test_a_client_of_ours_that_is_late_fails(run: Runner, tmp_path: Path) -> None:
    done = cross_check(run, tmp_path, mean_ttft=[1.02, 1.01])
    assert done.status == 1
    assert failure(done).startswith("mean_ttft: ")
    assert "tokgate's client was the later one" in failure(done)


@two_cores
@pytest.mark.parametrize(
    ("overhead", "status", "late"), [([0.5, 0.6], 0, "vllm bench serve"), ([1.2, 1.3], 1, "tokgate's client")]
)
def test_which_client_is_late_is_told_by_what_its_ttft_is_longer_by_than_the_servers_own(
    run: Runner, tmp_path: Path, overhead: list[float], status: int, late: str
) -> None:
    """TTFT itself is of pairs that point both ways."""
    done = cross_check(run, tmp_path, "--perf-strict", mean_ttft=[0.9, 1.1], ttft_overhead=overhead)
    assert done.status == status, done.out
    assert "ttft_overhead: " in done.out
    assert f"{late} was the later one" in done.out


@two_cores
def test_where_the_server_tells_it_of_one_client_alone_ttft_itself_decides(run: Runner, tmp_path: Path) -> None:
    done = cross_check(run, tmp_path, ttft_overhead=[1.2], lacks=["vllm_bench_ttft_overhead"])
    assert done.status == 0, done.out
    assert "ttft_overhead: " not in done.out
    assert "the server did not tell its own TTFT of every round, so theirs alone decides: vllm bench" in done.out


@pytest.mark.parametrize("tpot", [1.02, 1.04])
@pytest.mark.parametrize(("args", "status"), [((), 0), (("--perf-strict",), 1)])
def test_a_single_round_shows_nothing_and_the_text_says_so(
    run: Runner, tmp_path: Path, tpot: float, args: tuple[str, ...], status: int
) -> None:
    """Of two clients that see the same, either is the later one, by luck."""
    test = CLIENTS.replace("bf16.crosscheck.c4.p32.o32", "fp16.crosscheck.c50.p512.o512")
    ours = {"output_throughput": [1.0], "mean_tpot": [tpot], "mean_ttft": [0.9]}
    done = comparing(
        run, tmp_path, test, "--perf-profile=smoke", "--perf-model=dummy", "-k", "crosscheck or compared", *args,
        marker="serving", matrix="serving-gpu.toml", ours=ours,
        gpu={"uuid": run.device.replace("test", "GPU"), "absent": None},
    )  # fmt: skip
    assert done.status == status, done.out
    assert re.search(r"INCONCLUSIVE: mean_tpot: .* of tokgate's client is \+\d.0% \(a single pair\) from ", done.out), (
        done.out
    )


def failure(done: Run) -> str:
    """What the comparison failed with."""
    whole = done.out[done.out.index("test_compared __") :].partition("\n")[2]
    return re.split("^(?:__|==)", whole, flags=re.M)[0]


@pytest.mark.parametrize(
    ("scenario", "cause", "said"), [(FP32, "disturbed", "gcc pid 7"), (INT8, "failing", "3 of 8 requests failed")]
)
def test_a_row_that_is_invalid_fails_the_comparison_with_the_reason(
    run: Runner, tmp_path: Path, scenario: str, cause: str, said: str
) -> None:
    done = comparing(run, tmp_path, COMPARED, **{cause: [scenario]})
    assert done.status == 1
    assert failure(done).startswith(f"INVALID: {scenario}: ")
    assert said in failure(done)


def test_a_group_that_failed_fails_the_comparison(run: Runner, tmp_path: Path) -> None:
    done = comparing(run, tmp_path, COMPARED, fails={"tiny-dummy.onnx.int8": "the onnx worker failed: it crashed"})
    assert f"INVALID: {INT8}: tiny-dummy.onnx.int8: the onnx worker failed: it crashed" in failure(done)


def test_a_row_that_was_not_selected_skips_the_comparison_and_is_named(run: Runner, tmp_path: Path) -> None:
    done = comparing(run, tmp_path, COMPARED, "-k", f"[{FP32}] or compared")
    assert done.status == 0, done.out
    assert "onnx.int8.b1.p5.o50 was not selected, so there is nothing to compare" in done.out


def test_a_row_that_was_skipped_skips_the_comparison_with_the_cause(run: Runner, tmp_path: Path) -> None:
    done = comparing(run, tmp_path, COMPARED, no_room=True)
    assert done.status == 5, done.out
    assert "onnx.int8.b1.p5.o50 was not measured: measuring needs 29.0 GB" in done.out


def test_comparing_alone_measures_nothing_and_is_no_pass(run: Runner, tmp_path: Path) -> None:
    done = comparing(run, tmp_path, COMPARED, "-k", "compared")
    assert done.status == 5, done.out
    assert "was not selected, so there is nothing to compare; let -k, --perf-profile and" in done.out


def test_a_comparison_that_comes_before_its_rows_is_no_pass_and_no_skip(run: Runner, tmp_path: Path) -> None:
    """Another order, as plugins make it: skipped, what it holds would be held by nobody."""
    last = "\ndef pytest_collection_modifyitems(items): items.reverse()\n"
    (tmp_path / "conftest.py").write_text(f"import pytest\n@pytest.hookimpl(trylast=True){last}")
    done = comparing(run, tmp_path, COMPARED)
    assert done.status == 1
    assert failure(done).startswith("INVALID: ")
    assert "selected and is not measured" in failure(done)


def test_a_metric_that_a_row_has_not_fails(run: Runner, tmp_path: Path) -> None:
    done = comparing(run, tmp_path, COMPARED.replace("output_throughput", "short_ttft"))
    assert done.status == 1
    assert failure(done).startswith(f"INVALID: {INT8} was measured, and has no short_ttft")


@two_cores
def test_rows_of_users_are_shown_side_by_side(run: Runner, tmp_path: Path) -> None:
    done = comparing(run, tmp_path, BESIDE, marker="load", matrix="load-cpu.toml")
    assert done.status == 0, done.out
    lines = [line.split() for line in done.out.splitlines() if line.startswith("onnx.")]
    assert [line[0] for line in lines] == [RAMP.format("fp32"), RAMP.format("int8")]
    assert all(line[-3:] == ["8", "0", "0"] for line in lines), "requests, failed, unfinished"


@two_cores
@pytest.mark.parametrize(
    ("precision", "cause", "said"), [("fp32", "disturbed", "gcc pid 7"), ("int8", "failing", "3 of 8 requests failed")]
)
def test_side_by_side_fails_where_one_of_its_rows_cannot_be_believed(
    run: Runner, tmp_path: Path, precision: str, cause: str, said: str
) -> None:
    scenario = f"tiny-dummy.{RAMP.format(precision)}"
    done = comparing(run, tmp_path, BESIDE, marker="load", matrix="load-cpu.toml", **{cause: [scenario]})
    assert done.status == 1
    assert failure(done).startswith(f"INVALID: {scenario}: ")
    assert said in failure(done)


def test_users_of_which_none_was_selected_have_no_table(run: Runner, tmp_path: Path) -> None:
    done = comparing(run, tmp_path, BESIDE, "-k", "fp32.b1.p5 or compared")
    assert done.status == 0, done.out
    assert f"{RAMP.format('fp32')}, {RAMP.format('int8')} were not selected" in " ".join(done.out.split())
    assert "requests failed" not in done.out
