"""Every command line of ours in deploy/ and .github/ is one that its program takes.

tests/e2e/test_deploy.py has pytest collect with them, and asks vLLM's own parser.
"""

from __future__ import annotations

import argparse
from typing import Any

import pytest

from tests.unit.deploy.files import Line, command_lines
from tokgate.cli import COMMANDS

pytestmark = pytest.mark.unit

PYTEST = command_lines("pytest")
TOKGATE = command_lines("tokgate")


def known_options(config: pytest.Config) -> Any:
    """pytest's own parser, with the options of every plugin that is loaded."""
    return config._parser


def test_the_lines_are_found() -> None:
    """A change of layout that hides them from this file would make it say nothing."""
    places = {line.where for line in PYTEST}
    assert {"Dockerfile.cpu", "Dockerfile.gpu", "gate/gpu.yaml", "nightly.yml", "README.md"} <= {
        place.removeprefix("kubernetes/") for place in places
    }
    assert {line.where for line in TOKGATE} == {"action.yml", "nightly.yml", "README.md"}


@pytest.mark.parametrize("line", PYTEST, ids=str)
def test_pytest_knows_every_option(line: Line, request: pytest.FixtureRequest) -> None:
    namespace, unknown = known_options(request.config).parse_known_and_unknown_args(list(line.words))
    assert unknown == []
    assert namespace.file_or_dir == [], "an option took no value, which pytest then takes for a folder"
    assert namespace.markexpr in ("cpu", "gpu", "serving")


@pytest.mark.parametrize("line", TOKGATE, ids=str)
def test_tokgate_takes_the_line(line: Line) -> None:
    parser = argparse.ArgumentParser(exit_on_error=False)
    commands = parser.add_subparsers(required=True)
    for command in COMMANDS:
        command.add(commands)
    try:
        parser.parse_args(line.words)
    except SystemExit:
        pytest.fail(f"{line}: refused, see above")


def test_a_gate_in_ci_and_in_the_cluster_ask_for_a_baseline_and_leave_a_report() -> None:
    gates = [line for line in PYTEST if any(word.startswith("--junitxml") for word in line.words)]
    assert {line.where for line in gates} == {"nightly.yml", "kubernetes/gate/gpu.yaml", "kubernetes/gate/serving.yaml"}
    for line in gates:
        assert {"--perf-profile=nightly", "--perf-require-baseline", "--benchmark-autosave"} <= set(line.words), line
