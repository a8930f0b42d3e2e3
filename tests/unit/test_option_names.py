"""What a command refuses is told by the option that its user has: pytest has others than the commands of tokgate."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from models.hub_layout import REVISION

from tests.unit.sweep.examples import written
from tokgate.cli import COMMANDS, main
from tokgate.errors import InputError
from tokgate.models.source import resolve
from tokgate.options import AB_NAMES, COMMAND_NAMES, PYTEST_NAMES

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("command", ["sweep", "ab", "prove", "generate-service"])
@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("nosuch", "--model 'nosuch' is unknown; expected auto, dummy"),
        ("Org/Other", "--model 'Org/Other': no folder of that name, and a hub id needs a revision"),
        ("Org/Other@main", "--model 'Org/Other@main': revision 'main' is not 40"),
        (f"Other@{REVISION}", f"--model 'Other@{REVISION}': 'Other' is no hub id"),
        ("{folder}", "--model {folder}: no config.json there"),
    ],
)
def test_a_model_that_cannot_be_is_told_by_the_commands_own_option(
    command: str, model: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = {
        "sweep": [str(written(tmp_path))],
        "ab": ["--reference=python3"],
        "prove": ["--record", f"--recording={tmp_path / 'r.json'}"],
        "generate-service": ["--port=0"],
    }[command]
    assert main([command, *first, f"--model={model.format(folder=tmp_path)}"]) == 2
    told = capsys.readouterr().err
    assert said.format(folder=tmp_path) in told
    assert "--perf-" not in told


def test_a_model_that_cannot_be_fetched_is_told_by_the_option_that_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for called in ("--model", "--perf-model"):
        with pytest.raises(InputError, match=f"or take {called} dummy$"):
            resolve(f"Org/Other@{REVISION}", "tiny", allow_network=True, called=called)
        with pytest.raises(InputError, match=f"^{called} Org/Other@{REVISION}: .* or take {called} dummy$"):
            resolve(f"Org/Other@{REVISION}", "tiny", called=called)


def test_what_names_an_option_of_pytest_in_a_help_says_that_it_is_pytests(capsys: pytest.CaptureFixture[str]) -> None:
    """Or it is one of the command's own, as of fleet."""
    for command in COMMANDS:
        name = command.__name__.rpartition(".")[2].replace("_", "-")
        with pytest.raises(SystemExit):
            main([name, "--help"])
        told = " ".join(capsys.readouterr().out.split())
        own = set(re.findall(r"[\[|,] ?(--perf-[a-z-]+)", told))
        others = [found for found in re.finditer(r"--perf-[a-z-]+", told) if found.group() not in own]
        assert all(told[: found.start()].endswith("pytest's ") for found in others), (name, told)


@pytest.mark.parametrize(
    ("command", "names"),
    [
        (["ab", "--help"], [AB_NAMES.model, AB_NAMES.python, AB_NAMES.reference, AB_NAMES.sessions]),
        (["sweep", "--help"], [COMMAND_NAMES.model, COMMAND_NAMES.python]),
    ],
)
def test_the_names_are_those_of_the_options_that_there_are(
    command: list[str], names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(command)
    told = capsys.readouterr().out
    assert [name for name in names if not re.search(rf"^  {name} ", told, re.MULTILINE)] == []


def test_pytests_names_are_those_of_its_options(pytestconfig: pytest.Config) -> None:
    names = (PYTEST_NAMES.model, PYTEST_NAMES.python, PYTEST_NAMES.reference, PYTEST_NAMES.sessions)
    assert all(hasattr(pytestconfig.option, name.removeprefix("--").replace("-", "_")) for name in names)
