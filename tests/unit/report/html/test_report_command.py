"""`tokgate report -o`: what it writes, what it prints, and what it exits with."""

from __future__ import annotations

from pathlib import Path

import pytest
from nights import accepted, night, nights
from unpack import document

from tokgate import session as sessions
from tokgate.cli import main

pytestmark = pytest.mark.unit


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return accepted(nights(), tmp_path / "baselines")


def test_a_page_is_written_and_its_path_printed(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is no gate: a regression is told on the page, and the status is 0."""
    path = sessions.write(night("sixth", slower=1.0, day=6), tmp_path)
    page = tmp_path / "new" / "report.html"
    assert main(["report", str(path), "-o", str(page), "--baselines", str(store)]) == 0
    assert capsys.readouterr().out.strip() == str(page)
    assert "got slower" in document(page.read_text()).text


def test_a_file_that_is_no_session_is_told_and_the_others_are_shown(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = sessions.write(night("sixth", day=6), tmp_path)
    (bad := tmp_path / "bad.json").write_text("{}")
    page = tmp_path / "report.html"
    assert main(["report", str(bad), str(good), "-o", str(page), "--baselines", str(store)]) == 2
    assert "bad.json" in capsys.readouterr().err
    assert "Nothing got slower" in document(page.read_text()).text


def test_where_no_file_is_a_session_no_page_is_written(store: Path, tmp_path: Path) -> None:
    (bad := tmp_path / "bad.json").write_text("{}")
    page = tmp_path / "report.html"
    assert main(["report", str(bad), "-o", str(page), "--baselines", str(store)]) == 2
    assert not page.exists()


def test_two_sessions_are_compared(store: Path, tmp_path: Path) -> None:
    a, b = (sessions.write(night(name, day=6), tmp_path) for name in ("a", "b"))
    page = tmp_path / "compare.html"
    assert main(["report", "--compare", str(a), str(b), "-o", str(page), "--baselines", str(store)]) == 0
    assert "cannot be told apart" in document(page.read_text()).text


def test_the_only_machine_s_trends_need_no_name(store: Path, tmp_path: Path) -> None:
    sessions.write(night("sixth", day=6), tmp_path / "saved")
    (tmp_path / "saved" / "bad.json").write_text("{}")
    page = tmp_path / "trends.html"
    where = ["--sessions", str(tmp_path / "saved"), "--baselines", str(store), "-o", str(page)]
    assert main(["report", "--trends", *where]) == 0
    assert "6 sessions of edge-2c-24g" in document(page.read_text()).text


def test_of_several_machines_one_must_be_named(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, machine in (("t4", "nvidia-t4"), ("a10", "nvidia-a10")):
        sessions.write(night(name, day=6, machine={"id": machine, "kind": "gpu"}), tmp_path / "saved")
    page = tmp_path / "trends.html"
    where = ["--sessions", str(tmp_path / "saved"), "--baselines", str(store), "-o", str(page)]
    assert main(["report", "--trends", *where]) == 2
    assert "edge-2c-24g, nvidia-a10, nvidia-t4" in capsys.readouterr().err
    assert main(["report", "--trends", "nvidia-t4", *where]) == 0
    assert "1 sessions of nvidia-t4" not in document(page.read_text()).text
    assert "1 session of nvidia-t4" in document(page.read_text()).text


def test_of_several_accepted_machines_that_of_the_saved_sessions_needs_no_name(store: Path, tmp_path: Path) -> None:
    sessions.write(night("t4", day=6, machine={"id": "nvidia-t4", "kind": "gpu"}), tmp_path / "saved")
    page = tmp_path / "trends.html"
    where = ["--sessions", str(tmp_path / "saved"), "--baselines", str(store), "-o", str(page)]
    assert main(["report", "--trends", *where]) == 0
    assert "1 session of nvidia-t4" in document(page.read_text()).text


@pytest.mark.parametrize(("name", "said"), [("", "that is a folder"), ("file/p.html", "Not a directory")])
@pytest.mark.parametrize("kind", [["s.json"], ["--compare", "a", "b"], ["--trends", "m"], ["--ladder", "s.json"]])
def test_a_page_that_cannot_be_written_is_told_before_anything_is_read(
    kind: list[str], name: str, said: str, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["report", *kind, "-o", str(tmp_path / name), "--baselines", str(store)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"tokgate: -o {tmp_path / name}: ")
    assert f"{said}; expected the name of a file" in line


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["report"], "no session to report"),
        (["report", "--trends"], "say where, as -o report.html"),
        (["report", "x.json", "--compare", "a", "b", "-o", "p"], "take no further SESSION"),
        (["report", "x.json", "--machine", "edge"], "--machine is of what is judged, a page"),
        (["report", "--trends", "edge", "--machine", "edge", "-o", "p"], "takes its machine itself, --trends MACHINE"),
        (["report", "--ladder", "x.json", "--machine", "edge", "-o", "p"], "--machine is of what is judged"),
    ],
)
def test_what_is_missing_is_said(args: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(args) == 2
    assert says in capsys.readouterr().err
