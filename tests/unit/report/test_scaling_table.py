"""Scaling in the terminal: 80 columns, no figure cut, and a command that refuses what it cannot show."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console
from scaled import BASE, LONG, SHORT, scaled

from tokgate import session as sessions
from tokgate.cli import main
from tokgate.report.scaling import scalings
from tokgate.report.scaling_table import render_scalings

pytestmark = pytest.mark.unit


def printed(*found: sessions.Session) -> str:
    console = Console(width=80, record=True, highlight=False)
    console.begin_capture()
    console.print(render_scalings(scalings(found)))
    text = console.end_capture()
    assert all(len(line) <= 80 for line in text.splitlines())
    return text


def line_of(text: str, start: str) -> list[str]:
    (line,) = (line.split() for line in text.splitlines() if line.startswith(start))
    return line


def test_a_line_has_both_speeds_the_speed_up_its_interval_the_efficiency_and_the_times_a_token() -> None:
    text = printed(scaled("a", 1, {SHORT: [200, 202]}), scaled("b", 2, {SHORT: [300, 303]}))
    shape, one, two, factor, interval, efficiency, *tpots = line_of(text, SHORT)
    assert (shape, one, two, factor, efficiency) == (SHORT, "202", "303", "1.50x", "75%")
    low, high = map(float, interval.split("-"))
    assert low < 1.5 < high
    assert tpots == ["39.6", "ms", "26.4", "ms"]
    assert "TP 1: a on nvidia-t4\n" in text
    assert "Speed-up over TP 1 with its 95% interval; efficiency: speed-up / GPUs." in text


def test_four_gpus_take_the_room_of_the_times_a_token() -> None:
    found = [scaled(f"s{gpus}", gpus, {"c200.p1000.o1000": [100_000 * gpus, 101_000 * gpus]}, f"{BASE}.repeat")
             for gpus in (1, 2, 4)]  # fmt: skip
    text = printed(*found)
    assert "TPOT" not in text
    shape, *speeds = line_of(text, "c200.p1000.o100")[:4]
    assert "c200.p1000.o1000".startswith(shape), "a name that is too long is broken"
    assert speeds == ["101000", "202000", "404000"]
    assert "…" not in text
    assert "2.00x" in text
    assert "4.00x" in text


def test_a_missing_side_and_a_missing_interval_are_blank() -> None:
    speeds = {SHORT: [100.0], LONG: [100.0]}
    text = printed(scaled("a", 1, speeds), scaled("b", 2, speeds), scaled("c", 4, {LONG: [200.0]}))
    assert line_of(text, SHORT) == [SHORT, "100", "100", "1.00x", "50%"]
    assert line_of(text, LONG) == [LONG, "100", "100", "200", "1.00x", "50%", "2.00x", "50%"]
    assert "Speed-ups without an interval" in text


def test_an_interval_that_reaches_anywhere_is_cut_short() -> None:
    text = printed(scaled("a", 1, {SHORT: [1, 50]}), scaled("b", 2, {SHORT: [1, 90]}))
    assert line_of(text, SHORT)[4] == "0.00-10+"


def test_several_sessions_are_told_by_number_machine_and_days() -> None:
    late = scaled("b", 1, {SHORT: [102, 102]}, started="2026-11-03T03:00:00+00:00")
    text = printed(late, scaled("a", 1, {SHORT: [100, 100]}), scaled("c", 2, {SHORT: [150, 150]}))
    assert "TP 1: 2 sessions on nvidia-t4, 2026-11-01 to 2026-11-03\n" in text


def test_markup_in_a_session_is_shown_as_it_is() -> None:
    bad = scaled("bad", 1, {SHORT: [1, 1]}, valid=False, reasons=["[bold red]x[/] [link=http://example.org]y[/link]"])
    text = printed(scaled("a", 1, {SHORT: [1, 1]}), scaled("b", 2, {SHORT: [1, 1]}), bad)
    assert "[bold red]x[/] [link=http://example.org]y[/link]" in " ".join(text.split())


def test_the_command_prints_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [sessions.write(scaled(f"s{gpus}", gpus, {SHORT: [9 * gpus, 9 * gpus]}), tmp_path) for gpus in (1, 2)]
    assert main(["report", "--scaling", *map(str, paths)]) == 0
    out = capsys.readouterr().out
    assert f"{BASE} on more GPUs: NVIDIA T4, vllm 0.26.0, nightly" in out
    assert line_of(out, SHORT)[3] == "2.00x"


def test_the_command_refuses_what_it_cannot_compare_or_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = str(sessions.write(scaled("a", 1, {SHORT: [9, 9]}), tmp_path))
    no_session = tmp_path / "other.json"
    no_session.write_text('{"rows": []}')
    for arguments, words in (
        ([one], f"Measured on one number of GPUs only: {BASE} (TP 1)"),
        ([one, str(no_session)], "other.json: not a tokgate session"),
        ([one, "-o", str(tmp_path / "page.html")], "makes no page: leave out -o"),
        ([], "no session"),
    ):
        assert main(["report", "--scaling", *arguments]) == 2
        assert words in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()
