"""Where the commands look for baselines, and that what they do not find is no missing baseline."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.test_cli import Tokgate, night
from tokgate.cli import main
from tokgate.commands import options

pytestmark = pytest.mark.unit


@pytest.fixture
def tokgate(tmp_path: Path) -> Tokgate:
    return Tokgate(tmp_path)


def test_a_misspelt_folder_or_machine_is_2_and_no_missing_baseline(
    tokgate: Tokgate, capsys: pytest.CaptureFixture[str]
) -> None:
    """Held against nothing, a slow night would pass."""
    tokgate.accept()
    slow = night("slow", slower=0.2)
    assert main(["judge", tokgate.file(slow), "--baselines", str(tokgate.folder / "nosuch")]) == 2
    said = capsys.readouterr().err
    assert f"there is no folder {tokgate.folder / 'nosuch'}" in said
    assert "--baselines DIR" in said
    assert tokgate("judge", tokgate.file(slow), "--machine", "edge-2c-42g") == 2
    said = capsys.readouterr().err
    assert "unknown machine 'edge-2c-42g': did you mean 'edge-2c-24g'? known are edge-2c-24g\n" in said
    fresh = tokgate.file(night("elsewhere", machine="edge-8c-16g"))
    assert tokgate("judge", fresh, "--machine", "edge-8c-16g") == 0, "its own id, not accepted yet"


def test_where_no_baselines_are_here_a_night_is_judged_by_tokgates_own(
    tokgate: Tokgate, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tokgate.accept()
    slow = tokgate.file(night("slow", slower=0.2))
    elsewhere = tokgate.folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setattr(options, "OWN_BASELINES", tokgate.folder / "baselines")
    assert main(["judge", slow]) == 1
    assert f"held against its own baselines, {tokgate.folder / 'baselines'}\n" in capsys.readouterr().err
    assert main(["accept", slow, "--reason", "x"]) == 0
    assert [path.name for path in elsewhere.iterdir()] == ["baselines"], "who writes, writes here"
    assert main(["judge", slow]) == 0, "and what is here comes first"
    assert "its own" not in capsys.readouterr().err


def test_where_there_are_no_baselines_at_all_judging_is_refused(
    tokgate: Tokgate, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As of an installed package."""
    path = tokgate.file(night("first"))
    monkeypatch.chdir(tokgate.folder)
    monkeypatch.setattr(options, "OWN_BASELINES", tokgate.folder / "none")
    assert main(["judge", path]) == 2
    assert "there is no folder baselines, so nothing to compare with" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["accept", "--reason", "x"], ["judge"]])
def test_a_folder_without_a_name_is_refused(
    command: list[str], tokgate: Tokgate, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would be the current folder."""
    with pytest.raises(SystemExit) as stop:
        main([*command, tokgate.file(night("first")), "--baselines", ""])
    assert stop.value.code == 2
    assert "--baselines: its text is empty; expected a folder" in capsys.readouterr().err
