"""The /generate service killed and started again under users: every request that failed is counted, and no other."""

from __future__ import annotations

import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from tokgate.plan import Users
from tokgate.serving.server import Server, ServerCommand, free_port
from tokgate.serving.users.crowd import Crowd
from tokgate.serving.users.tally import LoadTest, tally

pytestmark = [pytest.mark.e2e, pytest.mark.beside]

START_S = 120.0
# Longer than a start takes on shared cores.
SECONDS = 40.0


def answered(server: Server) -> int:
    """By the service's own count."""
    with urllib.request.urlopen(f"{server.base_url}/metrics", timeout=20) as told:
        lines = told.read().decode().splitlines()
    found = [line.split()[-1] for line in lines if line.startswith('tokgate_generate_requests_total{status="200"}')]
    return int(float(found[0])) if found else 0


# Fifty ask for less, so that each is answered twice and again before and after in the time that there is.
@pytest.mark.parametrize(("count", "tokens"), [(5, 100), (50, 20)])
def test_a_service_that_is_killed_costs_what_it_had_and_what_found_it_gone(
    cache: Path, tmp_path: Path, count: int, tokens: int
) -> None:
    port = free_port()
    argv = [sys.executable, "-m", "tokgate", "generate-service", "--model=tiny", f"--cache={cache}", f"--port={port}"]
    argv += ["--queue=256"]
    users = Users("generate", False, spawn_per_s=50.0, think_s=(0.1, 0.3), seconds=SECONDS)
    crowd = Crowd(users, count, f"http://127.0.0.1:{port}", prompt_tokens=7, output_tokens=tokens, drain_s=30.0)
    tests: list[LoadTest] = []
    loading = threading.Thread(target=lambda: tests.append(crowd.run(tmp_path)))
    with Server(ServerCommand(argv, port, tmp_path / "first.log"), term_s=0.0) as first:
        first.wait_ready(START_S)
        loading.start()
        while answered(first) < 2 * count:
            assert loading.is_alive()
            time.sleep(0.05)
        before = time.time()
    dead = time.time()
    with Server(ServerCommand(argv, port, tmp_path / "second.log")) as second:
        second.wait_ready(START_S)
        again = time.time()
        loading.join(2 * SECONDS)
        assert not loading.is_alive(), "it hangs"
        served_again = answered(second)
    (test,) = tests
    found = tally(test.requests)
    assert found.cut_short == 0
    # One that starts says 503.
    assert set(found.failures) <= {"connection lost", "connection refused", "HTTP 5xx"}
    ended = [request for request in test.requests if not request.unfinished]
    had = [request for request in ended if request.sent_at < dead < request.sent_at + request.e2el_s]
    assert all(request.failure for request in had)
    assert len(had) <= count
    for request in ended:
        if request.sent_at + request.e2el_s < before or request.sent_at > again:
            assert request.failure is None
    assert found.failed == sum(request.failure is not None for request in ended) > 0
    assert sum(request.failure is None for request in ended if request.sent_at > dead) == served_again > count
    assert f"{found.failed} of {found.requests} requests failed" in str(found.fault())
