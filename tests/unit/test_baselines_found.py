"""Where the commands look for baselines, and that what they do not find is no missing baseline."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.test_cli import Tokgate, night
from tokgate import session as sessions
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


JUDGED = [["judge", "{}"], ["summary", "{}"], ["report", "{}", "-o", "page.html"]]
SHOWN = [
    ["report", *page, "-o", "page.html"]
    for page in (["--compare", "{}", "{}"], ["--trends", "edge-2c-24g"], ["--trends"])
]
HELD = [*JUDGED, *SHOWN]


def of(command: list[str], path: str) -> list[str]:
    return [word.format(path) for word in command]


@pytest.mark.parametrize("command", HELD)
def test_what_is_held_against_baselines_refuses_a_folder_that_is_not_there(
    command: list[str], tokgate: Tokgate, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every row would be NO-BASELINE, and a misspelt name a pass."""
    path = tokgate.file(night("first"))
    monkeypatch.chdir(tokgate.folder)
    assert main([*of(command, path), "--baselines=nosuch"]) == 2
    said = capsys.readouterr()
    assert "there is no folder nosuch, so nothing to compare with; name that of the accepted sessions" in said.err
    assert (said.out, (tokgate.folder / "page.html").exists()) == ("", False)


@pytest.mark.parametrize("command", HELD)
def test_what_is_held_against_baselines_takes_tokgates_own_where_none_are_here(
    command: list[str], tokgate: Tokgate, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tokgate.accept()
    path = tokgate.file(night("sixth"))
    elsewhere = tokgate.folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setattr(options, "OWN_BASELINES", tokgate.folder / "baselines")
    assert main(of(command, path)) == 0
    said = capsys.readouterr()
    assert f"held against its own baselines, {tokgate.folder / 'baselines'}\n" in said.err
    assert "NO-BASELINE" not in said.out


@pytest.fixture
def installed(tokgate: Tokgate, monkeypatch: pytest.MonkeyPatch) -> str:
    """A session's file, in a folder without baselines, beside a tokgate that has none of its own."""
    monkeypatch.chdir(tokgate.folder)
    monkeypatch.setattr(options, "OWN_BASELINES", tokgate.folder / "none")
    return tokgate.file(night("first"))


@pytest.mark.parametrize("command", JUDGED)
def test_where_there_are_no_baselines_at_all_judging_is_refused(
    command: list[str], installed: str, tokgate: Tokgate, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it says to do is done."""
    assert main(of(command, installed)) == 2
    said = capsys.readouterr().err
    assert "there is no folder baselines, so nothing to compare with" in said
    assert said.endswith(" sessions, or an empty one where nothing is accepted yet: --baselines DIR\n")
    (tokgate.folder / "empty").mkdir()
    assert main([*of(command, installed), "--baselines=empty"]) == 0


@pytest.mark.parametrize("command", SHOWN)
def test_where_there_are_no_baselines_at_all_what_judges_nothing_needs_none(
    command: list[str], installed: str, tokgate: Tokgate, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*of(command, installed), "--sessions=sessions"]) == 0
    assert capsys.readouterr() == ("page.html\n", "")
    (tokgate.folder / "page.html").unlink()
    (tokgate.folder / "baselines").write_text("")
    assert main([*of(command, installed), "--sessions=sessions"]) == 2, (
        "what is here and cannot be read is not passed over"
    )
    assert "there is no folder baselines" in capsys.readouterr().err
    assert not (tokgate.folder / "page.html").exists()


def test_trends_are_of_the_machine_that_was_measured_and_not_of_tokgates_own(
    tokgate: Tokgate, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tokgate.accept()
    tokgate.file(night("first", machine="edge-8c-16g"))
    for stored in (tokgate.folder / "sessions").glob("night-*"):
        stored.unlink()
    (elsewhere := tokgate.folder / "elsewhere").mkdir()
    (tokgate.folder / "sessions").rename(elsewhere / "saved")
    monkeypatch.chdir(elsewhere)
    monkeypatch.setattr(options, "OWN_BASELINES", tokgate.folder / "baselines")
    asked = ["report", "--trends", "-o", "t.html", "--sessions"]
    assert main([*asked, "saved"]) == 0
    assert "1 session of edge-8c-16g" in (elsewhere / "t.html").read_text()
    sessions.write(night("second", machine="edge-4c-8g"), elsewhere / "saved")
    assert main([*asked, "saved"]) == 2
    assert "which machine: there are edge-2c-24g, edge-4c-8g, edge-8c-16g; name one" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["summary"], ["report", "{}"], ["report", "--scaling", "{}"]])
def test_what_is_held_against_none_needs_none(
    command: list[str], tokgate: Tokgate, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table of a session's details, and what says that nothing was measured."""
    status = main([*of(command, tokgate.file(night("first"))), f"--baselines={tokgate.folder / 'nosuch'}"])
    assert "there is no folder" not in capsys.readouterr().err
    assert status == (2 if "--scaling" in command else 0), "one session is no scaling"


@pytest.mark.parametrize("command", [["accept", "--reason", "x"], ["judge"]])
def test_a_folder_without_a_name_is_refused(
    command: list[str], tokgate: Tokgate, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would be the current folder."""
    with pytest.raises(SystemExit) as stop:
        main([*command, tokgate.file(night("first")), "--baselines", ""])
    assert stop.value.code == 2
    assert "--baselines: its text is empty; expected a folder" in capsys.readouterr().err
