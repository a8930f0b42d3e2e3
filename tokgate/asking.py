"""What of a command line can be checked before anything is read or asked: a fault of it is told once, and at once."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from tokgate.errors import InputError
from tokgate.given import given_settings
from tokgate.options import DEFAULT_PAIRS, LEAST_PAIRS
from tokgate.outputs import check_file
from tokgate.scenario import SERVICE
from tokgate.session import check_slug

# They decide what has to be held, and what answers.
_OF_THE_MATRIX = frozenset({"tensor_parallel_size", SERVICE})


def check_options(option: Any) -> None:
    """Raises InputError for options of pytest that no matrix and no machine can do anything with."""
    check_judged(option.perf_machine, option.perf_pairs)
    for name, python in (("--perf-python", option.perf_python), ("--perf-reference", option.perf_reference)):
        if python is not None and shutil.which(python) is None:
            raise no_interpreter(name, python)
    if option.perf_reference is not None and option.perf_base_url is not None:
        raise InputError(
            "--perf-reference is of an engine that is started; of one that is there, --perf-base-url, both sides of a "
            "pair would be the same server, and equal"
        )
    asked_settings(option)
    if option.perf_report is not None:
        check_file("--perf-report", Path(option.perf_report))


def check_judged(machine: str | None, pairs: int) -> None:
    """Raises InputError for the name of a machine that cannot be one, and for too few pairs."""
    if machine:
        check_slug("--perf-machine", machine)
    if pairs < LEAST_PAIRS:
        raise InputError(f"{pairs} pairs are too few: at least {LEAST_PAIRS}, {DEFAULT_PAIRS} are usual")


def no_interpreter(whose: str, python: str) -> InputError:
    """For what cannot be run at all."""
    return InputError(f"{whose} {python}: no such interpreter; expected an executable such as ENV/bin/python")


def asked_settings(option: Any) -> dict[str, Any]:
    """Those of --perf-set. Raises InputError where they are not of an engine that is started, or want other GPUs."""
    given = given_settings(option.perf_set, "--perf-set")
    if given and option.perf_base_url:
        raise InputError("--perf-set is of an engine that is started; one that is there, --perf-base-url, has its own")
    for key in _OF_THE_MATRIX & given.keys():
        raise InputError(f"--perf-set {key}: that is of the rows of a matrix; name a matrix or variant that has it")
    return given
