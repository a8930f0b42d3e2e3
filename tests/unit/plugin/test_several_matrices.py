"""A run over two matrices: its page and its benchmark file hold both sessions, and neither denies the other's rows."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from runs import Run, Runner

from tokgate import session as sessions
from tokgate.cli import main

pytestmark = pytest.mark.unit

BOTH = (
    "-m", "gpu", "--perf-profile=nightly", "--perf-model=dummy", "-k", "vllm.fp16.b1.p5",
    "tests/gpu/test_offline_mistral_7b.py", "tests/gpu/test_offline_qwen_0_5b.py",
)  # fmt: skip
ROWS = {f"{model}-dummy.vllm.fp16.b1.p5.o50" for model in ("mistral-7b", "qwen2.5-0.5b-instruct")}
DENIED = "accepted scenarios of this profile are not in this session"


def two(run: Runner, *args: str) -> Run:
    return run(*BOTH, *args, script={"gpu": {"uuid": run.device.replace("test", "GPU"), "absent": None, "count": 1}})


def test_the_sessions_of_one_run_do_not_deny_each_others_rows(
    run: Runner, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (two(run).folder / "sessions").glob("*.json"):
        run.accept(sessions.read(path))
    file, page = tmp_path / "benchmark.json", tmp_path / "report.html"
    done = two(run, f"--benchmark-json={file}", f"--perf-report={page}")
    assert done.status == 0, done.out
    assert DENIED not in " ".join(done.out.split())
    shown = page.read_text()
    assert all(path.name in shown for path in (done.folder / "sessions").glob("*.json"))
    assert DENIED not in shown
    assert {row.scenario for each in sessions.read_all(file) for row in each.rows} == ROWS
    assert main(["judge", str(file), "--json", "--baselines", str(run.baselines)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [(told["outcome"], told["notes"]) for told in map(json.loads, lines)] == [("pass", [])] * 2
    for path in (done.folder / "sessions").glob("*.json"):
        assert main(["judge", str(path), "--baselines", str(run.baselines)]) == 0
        alone = re.sub(r"\s+", " ", capsys.readouterr().out)
        assert f"1 {DENIED}: " in alone, "the same session by itself"
