"""The /generate service for real, on a model that is quick: what it answers does not depend on who asks beside."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flow import ROOT, VLLM_PYTHON, needs_vllm

from tokgate.serving.server import Server, ServerCommand, free_port

pytestmark = pytest.mark.e2e

# Longer than building the tiny model takes, or starting vLLM.
START_S = 300.0


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@dataclass(frozen=True)
class Service:
    server: Server

    def ask(self, prompt: object, **parameters: object) -> dict[str, Any]:
        body = json.dumps({"prompt": prompt, "parameters": parameters}).encode()
        request = urllib.request.Request(f"{self.server.base_url}/generate", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            decoded: dict[str, Any] = json.load(answer)
        return decoded

    def info(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.server.base_url}/info", timeout=60) as answer:
            decoded: dict[str, Any] = json.load(answer)
        return decoded


@contextlib.contextmanager
def serving(folder: Path, *options: str) -> Iterator[Service]:
    port = free_port()
    argv = [
        sys.executable, "-m", "tokgate", "generate-service", "--model=tiny", f"--cache={folder}",
        f"--port={port}", *options,
    ]  # fmt: skip
    with Server(ServerCommand(argv, port, folder / "service.log", {"PYTHONPATH": str(ROOT)})) as server:
        server.wait_ready(START_S)
        yield Service(server)


# Unequal lengths and numbers of steps, some alike; the model's words are t0, t1, ...
ASKED = [(f"t{number} t{7 * number} t3" + " t5" * (number % 3), 5 + number % 4) for number in range(12)]


def answers_alone_and_together(service: Service) -> tuple[list[str], list[str], set[int]]:
    def ask(asked: tuple[str, int]) -> dict[str, Any]:
        return service.ask(asked[0], max_steps=asked[1], ignore_eos=True)

    alone = [ask(asked)["response"] for asked in ASKED]
    with ThreadPoolExecutor(len(ASKED)) as pool:
        together = list(pool.map(ask, ASKED))
    return alone, [each["response"] for each in together], {each["batch"] for each in together}


@pytest.mark.parametrize("engine", ["onnx", "transformers"])
def test_a_batched_request_is_answered_as_if_it_were_alone(cache: Path, engine: str) -> None:
    """Greedy, twelve at once of three lengths: every one has its own text, and some were generated together."""
    with serving(cache, f"--engine={engine}", "--batch=4", "--window-ms=200") as service:
        alone, together, sizes = answers_alone_and_together(service)
        assert together == alone
        assert max(sizes) > 1
        assert len(set(alone)) > 1
        assert [len(text.split()) for text in alone] == [steps for _, steps in ASKED]
        assert service.info()["accuracy"]["top1_agreement"] == 1.0


@pytest.mark.parametrize("engine", ["onnx", "transformers"])
def test_temperature_draws_and_greedy_does_not(cache: Path, engine: str) -> None:
    with serving(cache, f"--engine={engine}") as service:
        greedy = {service.ask("t1 t2 t3", max_steps=20)["response"] for _ in range(2)}
        drawn = {service.ask("t1 t2 t3", max_steps=20, temperature=1.0)["response"] for _ in range(3)}
    assert len(greedy) == 1
    assert len(drawn) == 3


def test_int8_answers_one_at_a_time_and_says_why(cache: Path) -> None:
    command = [sys.executable, "-m", "tokgate", "generate-service", "--precision=int8", "--batch=2"]
    refused = subprocess.run(command, cwd=ROOT, text=True, capture_output=True)
    assert refused.returncode == 2
    assert "depend on the others" in refused.stderr
    with serving(cache, "--precision=int8") as service:
        assert service.ask("t1 t2", max_steps=3)["output_tokens"] == 3
        assert 0.5 < service.info()["accuracy"]["top1_agreement"] <= 1.0


def test_sigterm_ends_it_in_order(cache: Path) -> None:
    """Status 0, and what was asked before is answered."""
    port = free_port()
    argv = [sys.executable, "-m", "tokgate", "generate-service", "--model=tiny", f"--cache={cache}", f"--port={port}"]
    log = cache / "ended.log"
    with log.open("wb") as written:
        process = subprocess.Popen(argv, cwd=ROOT, stdout=written, stderr=written)
        server = Server(ServerCommand(argv, port, log))
        try:
            await_health(process, server.base_url)
            with ThreadPoolExecutor(1) as pool:
                asked = pool.submit(Service(server).ask, "t1 t2", max_steps=500, ignore_eos=True)
                await_in_flight(server.base_url)
                os.kill(process.pid, signal.SIGTERM)
                assert asked.result(60)["output_tokens"] == 500
            assert process.wait(60) == 0
        finally:
            process.kill()


def await_health(process: subprocess.Popen[bytes], url: str) -> None:
    while process.poll() is None:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{url}/health", timeout=5).close()
            return
    pytest.fail(f"it ended with status {process.returncode}")


def await_in_flight(url: str) -> None:
    while True:
        with urllib.request.urlopen(f"{url}/metrics", timeout=5) as answer:
            if b"\ntokgate_generate_in_flight 1.0" in answer.read():
                return


@needs_vllm
def test_vllm_answers_too(cache: Path) -> None:
    with serving(
        cache, "--engine=vllm", "--precision=fp32", "--device=cpu", f"--python={VLLM_PYTHON}", "--batch=4"
    ) as service:
        alone, together, _ = answers_alone_and_together(service)
        assert together == alone
        assert service.ask("t1 t2 t3", max_steps=5, temperature=1.0)["output_tokens"] <= 5
        with pytest.raises(urllib.error.HTTPError, match="422"):
            service.ask("t1", max_steps=10**6)
