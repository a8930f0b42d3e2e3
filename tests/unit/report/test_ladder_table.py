"""The ladder in the terminal: 80 columns, every step in its place, missing ones with what measures them."""

from __future__ import annotations

from pathlib import Path

import pytest
from climbs import GRAPH, INT4, LADDER, MODEL, PLAIN, climbed
from rich.console import Console

from tokgate import session as sessions
from tokgate.cli import main
from tokgate.report.ladder import climb
from tokgate.report.ladder_table import render_ladder

pytestmark = pytest.mark.unit


def printed(*found: sessions.Session) -> str:
    console = Console(width=80, record=True, highlight=False)
    console.begin_capture()
    console.print(render_ladder(climb(LADDER, found)))
    return console.end_capture()


def test_each_step_has_its_values_and_both_changes() -> None:
    text = printed(climbed("s", {PLAIN: [10, 10.1], GRAPH: [20, 20.1], INT4: [60, 60.1]}))
    lines = text.splitlines()
    assert all(len(line) <= 80 for line in lines)
    four = [line.split() for line in lines if "four bits" in line]
    assert four[0][:6] == ["3", "four", "bits", "60.1", "832", "ms"]
    assert four[0][-3:] == ["1.50", "GiB", "90%"]
    assert four[1][3] == "2.99x"
    assert four[2][3] == "5.95x"
    assert text.index("against the step before") < text.index("against the first step")


def test_steps_without_figures_stand_in_their_place_and_are_explained() -> None:
    reasons = [f"{MODEL}.{GRAPH}: others took the cores"]
    text = printed(climbed("s", {PLAIN: [10, 10], GRAPH: [20, 20]}, valid=False, reasons=reasons))
    table, _, _ = text.partition("against the step before")
    assert [line.split()[0] for line in table.splitlines()[2:]] == ["1", "2", "3"]
    assert [line.split()[2:] for line in table.splitlines()[3:]] == [["INVALID"], ["bits", "not", "measured"]]
    assert f"graph: INVALID: {MODEL}.{GRAPH}" in text
    assert "four bits: not measured: measure it: measure four" in text


def test_markup_in_a_session_is_shown_as_it_is() -> None:
    reasons = [f"{MODEL}.{GRAPH}: [bold red]x[/] [link=http://example.org]y[/link]"]
    text = printed(climbed("s", {PLAIN: [10, 10], GRAPH: [20, 20]}, valid=False, reasons=reasons))
    assert "[bold red]x[/] [link=http://example.org]y[/link]" in " ".join(text.split())


def test_the_command_prints_the_ladder_of_the_machines_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = sessions.write(climbed("s", {PLAIN: [10, 10], GRAPH: [20, 20]}), tmp_path)
    assert main(["report", "--ladder", str(path)]) == 0
    out = capsys.readouterr().out
    assert "From plain PyTorch to vLLM on a CPU: small-dummy on edge-2c" in out
    assert "make vllm-cpu && pytest -m vllm_cpu --perf-select=ladder" in " ".join(out.split())


def test_the_command_refuses_two_machines_and_no_session(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = sessions.write(climbed("here", {PLAIN: [10, 10]}), tmp_path)
    there = sessions.write(climbed("there", {GRAPH: [10, 10]}, machine={"id": "other", "kind": "cpu"}), tmp_path)
    assert main(["report", "--ladder", str(here), str(there)]) == 2
    assert "one machine" in capsys.readouterr().err
    assert main(["report", "--ladder"]) == 2
    said = capsys.readouterr().err
    assert said.endswith("no session to report; name the files, as .tokgate/sessions/*.json\n"), "--trends is no ladder"
