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

_ROWS_OWN = "that is of the rows of a matrix; name a matrix or variant that has it"
_MORE_GPUS = (
    "that is of the rows of a matrix: of its GPUs only as many are held as tensor_parallel_size says; for more of them "
    "name a matrix that has them"
)
# They decide what has to be held, what is loaded, and what answers.
_OF_THE_MATRIX = {
    "tensor_parallel_size": _ROWS_OWN,
    "pipeline_parallel_size": _MORE_GPUS,
    "data_parallel_size": _MORE_GPUS,
    "model": "that is of the rows of a matrix; name another model with --perf-model",
    SERVICE: _ROWS_OWN,
}


def check_options(option: Any) -> None:
    """Raises InputError for options of pytest that no matrix and no machine can do anything with."""
    check_judged(option.perf_machine, option.perf_pairs)
    _check_counts(option.perf_load_workers, option.perf_lock_timeout)
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


def _check_counts(load_workers: int, lock_timeout_s: float) -> None:
    if load_workers < 0:
        raise InputError(
            f"--perf-load-workers {load_workers}: expected how many workers drive the users, 1 or more, or 0 for one "
            "process that does it all"
        )
    # Not `< 0`: with nan it would wait for ever.
    if not lock_timeout_s >= 0:
        raise InputError(
            f"--perf-lock-timeout {lock_timeout_s:g}: expected seconds, 0 or more; with 0 a device that another run "
            "has is not waited for"
        )


def no_interpreter(whose: str, python: str) -> InputError:
    """For what cannot be run at all."""
    return InputError(f"{whose} {python}: no such interpreter; expected an executable such as ENV/bin/python")


def asked_settings(option: Any) -> dict[str, Any]:
    """Those of --perf-set. Raises InputError where they are not of an engine that is started, or are the rows' own."""
    given = given_settings(option.perf_set, "--perf-set")
    if given and option.perf_base_url:
        raise InputError("--perf-set is of an engine that is started; one that is there, --perf-base-url, has its own")
    # A server's flags take either spelling.
    spelled = {key: key.replace("-", "_") for key in given}
    for key, name in spelled.items():
        if why := _OF_THE_MATRIX.get(name):
            raise InputError(f"--perf-set {key}: {why}")
    return {spelled[key]: value for key, value in given.items()}
