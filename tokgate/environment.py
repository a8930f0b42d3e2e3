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

from tokgate.errors import InputError
from tokgate.gate.fingerprint import ABSENT, Difference
from tokgate.models.artifacts import versions

_ASK = (
    "import json, platform\nfrom importlib.metadata import version, PackageNotFoundError\n"
    "try: numpy = version('numpy')\nexcept PackageNotFoundError: numpy = 'none'\n"
    "print(json.dumps([platform.python_version(), numpy]))"
)


@dataclass(frozen=True)
class Environment:
    """`software`: package -> version, "none" where it is not installed; the same packages for every interpreter."""

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
        return Environment(platform.python_version(), {**versions(python), "numpy": metadata.version("numpy")})
    found = versions(python)  # raises InputError if it is no Python
    version, numpy = json.loads(subprocess.run([python, "-c", _ASK], capture_output=True, check=True).stdout)
    return Environment(version, {**found, "numpy": numpy})


def check_interpreter(whose: str, python: str) -> None:
    """Raises InputError, naming `whose` it is, unless `python` is an interpreter that runs."""
    if shutil.which(python) is None:
        raise InputError(f"{whose} {python}: no such interpreter; expected an executable such as ENV/bin/python")
    try:
        environment(python)
    except InputError as error:
        raise InputError(f"{whose} {error}") from None
