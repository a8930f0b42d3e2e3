"""The /generate service for real, on a model that is quick: what it answers does not depend on who asks beside."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flow import ROOT
from services import ASKED, Service, answers_alone_and_together, serving

from tokgate.serving.server import Server, ServerCommand, free_port

pytestmark = [pytest.mark.e2e, pytest.mark.beside]


@pytest.fixture(scope="module", params=["onnx", "transformers"])
def service(request: pytest.FixtureRequest, cache: Path) -> Iterator[Service]:
    with serving(cache, f"--engine={request.param}", "--batch=4", "--window-ms=200") as service:
        yield service


def test_a_batched_request_is_answered_as_if_it_were_alone(service: Service) -> None:
    """Greedy, twelve at once of three lengths: every one has its own text, and some were generated together."""
    alone, together, sizes = answers_alone_and_together(service)
    assert together == alone
    assert max(sizes) > 1
    assert len(set(alone)) > 1
    assert [len(text.split()) for text in alone] == [steps for _, steps in ASKED]
    assert service.info()["accuracy"]["top1_agreement"] == 1.0


def test_temperature_draws_and_greedy_does_not(service: Service) -> None:
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
