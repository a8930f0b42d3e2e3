"""What deploy/ and .github/ hold, as data: documents, images, scripts, and the command lines in them."""

from __future__ import annotations

import functools
import json
import os
import re
import shlex
import subprocess
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
GITHUB = ROOT / ".github"
DOCKERFILES = sorted((DEPLOY / "docker").glob("Dockerfile.*"))
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
ACTIONS = sorted((GITHUB / "actions").glob("*/action.yml"))
SCRIPTS = sorted(DEPLOY.rglob("*.sh"))
EXPRESSION = re.compile(r"\$\{\{.*?\}\}")


@dataclass(frozen=True)
class Line:
    """A command line and where it stands."""

    where: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.where}: {shlex.join(self.words)}"


def tool(name: str) -> str:
    """A validator that requirements-dev.txt installs beside the interpreter."""
    path = Path(sysconfig.get_path("scripts")) / name
    assert path.exists(), f"{path} is missing: pip install -r requirements-dev.txt"
    return str(path)


def check(*command: str | Path) -> None:
    """Runs a validator and fails with what it says."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@functools.cache
def documents(path: Path) -> list[dict[str, Any]]:
    """Read once: PyYAML is slow, and every test asks."""
    return list(yaml.safe_load_all(path.read_text()))


def kustomizations() -> dict[Path, dict[str, Any]]:
    """Each folder with a kustomization.yaml, and what it says."""
    found = sorted(KUBERNETES.rglob("kustomization.yaml"))
    return {path.parent: documents(path)[0] for path in found}


def resources() -> list[tuple[str, dict[str, Any]]]:
    """Every document that some kustomization takes as a resource of its own, with its file's name."""
    return [
        (f"{(folder / name).relative_to(DEPLOY)}", document)
        for folder, kustomization in kustomizations().items()
        for name in kustomization["resources"]
        if (folder / name).is_file()
        for document in documents(folder / name)
    ]


def resource(kind: str, name: str) -> dict[str, Any]:
    (found,) = [item for _, item in resources() if (item["kind"], item["metadata"]["name"]) == (kind, name)]
    return found


def pod_of(document: dict[str, Any]) -> dict[str, Any] | None:
    """The pod's spec within a Deployment, DaemonSet or CronJob."""
    spec = document.get("spec", {})
    spec = spec.get("jobTemplate", {}).get("spec", spec)
    return spec.get("template", {}).get("spec")


def steps(path: Path) -> Iterator[dict[str, Any]]:
    """The steps of every job of a workflow, or of a composite action."""
    data = documents(path)[0]
    for job in data.get("jobs", {}).values():
        yield from job["steps"]
    yield from data.get("runs", {}).get("steps", [])


def instruction(dockerfile: Path, name: str) -> str:
    """The last instruction of that name."""
    found = re.findall(rf"^{name} (.*(?:\\\n.*)*)", dockerfile.read_text(), re.M)
    return found[-1]


def default_command(dockerfile: Path) -> list[str]:
    return [*json.loads(instruction(dockerfile, "ENTRYPOINT")), *json.loads(instruction(dockerfile, "CMD"))]


def command_lines(program: str) -> list[Line]:
    """Every call of `program` in images, manifests, workflows, scripts and the README of deploy/."""
    lines = [*_images(), *_manifests(), *_scripts()]
    return [Line(line.where, line.words[1:]) for line in lines if line.words and line.words[0] == program]


def _images() -> Iterator[Line]:
    for path in DOCKERFILES:
        yield Line(path.name, tuple(default_command(path)))


def _manifests() -> Iterator[Line]:
    """A container's arguments follow the entry point of the image that it names."""
    entry = {f"tokgate-{path.suffix[1:]}": json.loads(instruction(path, "ENTRYPOINT")) for path in DOCKERFILES}
    for where, document in resources():
        pod = pod_of(document) or {}
        for container in pod.get("containers", []):
            command = container.get("command", entry.get(container["image"], []))
            words = (*command, *container.get("args", []))
            yield Line(where, tuple(re.sub(r"\$\(\w+\)", "x", word) for word in words))


def _scripts() -> Iterator[Line]:
    texts = [(path.name, step["run"]) for path in (*WORKFLOWS, *ACTIONS) for step in steps(path) if "run" in step]
    texts += [(path.name, path.read_text()) for path in SCRIPTS]
    texts += [("README.md", block) for block in _blocks(DEPLOY / "README.md")]
    for where, text in texts:
        whole = EXPRESSION.sub("x", text).replace("\\\n", " ")
        for line in whole.splitlines():
            words = _words(line)
            if words:
                yield Line(where, words)


def _words(line: str) -> tuple[str, ...]:
    """A simple command's words, without what it is piped to or written to; nothing for a line that is part of one."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        return ()
    end = next((number for number, word in enumerate(words) if re.fullmatch(r"\||\|\||&&|\d?>>?.*|<.*", word)), None)
    return tuple(os.path.basename(word) if number == 0 else word for number, word in enumerate(words[:end]))


def _blocks(path: Path) -> list[str]:
    """The indented blocks of a Markdown file."""
    return re.findall(r"(?:^ {4}.*\n)+", path.read_text(), re.M)
