"""The Dockerfiles: what hadolint says, and what an image of a gate must be."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.deploy.files import DOCKERFILES, ROOT, check, default_command, instruction, resource, tool

pytestmark = pytest.mark.unit


def test_hadolint_finds_nothing() -> None:
    assert [path.name for path in DOCKERFILES] == ["Dockerfile.cpu", "Dockerfile.gpu"]
    check(tool("hadolint"), "--failure-threshold", "style", *DOCKERFILES)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_an_image_runs_as_a_user_with_a_number_from_a_pinned_base(path: Path) -> None:
    """Kubernetes can hold a number against runAsNonRoot, and no name."""
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", instruction(path, "USER"))
    defaults = dict(re.findall(r"^ARG (\w+)=(\S+)", path.read_text(), re.M))
    base = re.sub(r"\$\{(\w+)\}", lambda found: defaults[found[1]], instruction(path, "FROM"))
    assert re.fullmatch(r"[\w/]+:\d+\.\d+\.\d+-[\w.-]+", base)


@pytest.mark.parametrize(
    ("name", "words"),
    [("cpu", ["-m", "cpu"]), ("gpu", ["-m", "gpu", "--benchmark-autosave"])],
)
def test_an_image_measures_unless_told_otherwise(name: str, words: list[str]) -> None:
    command = default_command(ROOT / "deploy" / "docker" / f"Dockerfile.{name}")
    assert command[0] == "pytest"
    assert command[-len(words) :] == words


def test_every_file_that_an_image_is_made_of_is_there() -> None:
    for path in DOCKERFILES:
        for name in re.findall(r"requirements-[\w-]+\.txt", path.read_text()):
            assert (ROOT / name).exists(), f"{path.name} wants {name}"


def test_what_is_served_is_the_version_that_is_measured() -> None:
    (version,) = re.findall(r"^vllm==(\S+)$", (ROOT / "requirements-gpu.txt").read_text(), re.M)
    (container,) = resource("Deployment", "vllm-server")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"vllm/vllm-openai:v{version}"


def test_neither_git_nor_what_runs_left_goes_into_an_image() -> None:
    ignored = set((ROOT / ".dockerignore").read_text().split())
    assert {".git", ".venv", ".tokgate", ".benchmarks"} <= ignored
    assert "baselines" not in ignored, "the gate judges by them"
