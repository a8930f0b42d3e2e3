"""Locust in the cluster: its command lines are Locust's, and master, workers and service fit each other."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from tests.unit.deploy.files import ROOT, documents, pod_of, resource

pytestmark = pytest.mark.unit


def container(job: str) -> dict[str, Any]:
    (found,) = pod_of(resource("Job", job))["containers"]
    assert found["command"] == ["locust"]
    return found


def listed(*args: str) -> subprocess.CompletedProcess[str]:
    """Locust reads the locustfile and all options, and starts nothing."""
    command = [sys.executable, "-m", "locust", *args, "--list"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize("job", ["locust-master", "locust-workers"])
def test_locust_takes_the_line(job: str) -> None:
    args = container(job)["args"]
    done = listed(*args)
    assert done.returncode == 0, done.stderr
    assert args[-1] in done.stdout.split()
    assert listed(*args[:-1], "--no-such-option").returncode != 0


def test_the_master_waits_for_as_many_workers_as_there_are_and_is_found_by_them() -> None:
    (service,) = documents(ROOT / "deploy" / "kubernetes" / "load" / "service.yaml")
    master, workers = resource("Job", "locust-master"), resource("Job", "locust-workers")
    count = workers["spec"]["parallelism"]
    assert workers["spec"]["completions"] == count
    assert f"--expect-workers={count}" in container("locust-master")["args"]
    assert f"--master-host={service['metadata']['name']}" in container("locust-workers")["args"]
    assert service["spec"]["selector"].items() <= master["spec"]["template"]["metadata"]["labels"].items()
    assert {port["name"] for port in container("locust-master")["ports"]} == {service["spec"]["ports"][0]["name"]}


def test_both_ask_the_model_that_the_server_serves() -> None:
    (server,) = pod_of(resource("Deployment", "vllm-server"))["containers"]
    (name,) = [word.partition("=")[2] for word in server["args"] if word.startswith("--served-model-name=")]
    for job in ("locust-master", "locust-workers"):
        assert f"--served-model={name}" in container(job)["args"]
