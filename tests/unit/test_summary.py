"""`tokgate summary`: its forms, and that its exit status is no verdict."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from serving.examples import result

from tests.unit.test_cli import SCENARIOS, Tokgate, night
from tokgate.cli import main
from tokgate.commands.options import OWN_BASELINES
from tokgate.report.markdown import command

pytestmark = pytest.mark.unit


@pytest.fixture
def slow(tmp_path) -> tuple[Tokgate, str]:
    tokgate = Tokgate(tmp_path)
    tokgate.accept()
    return tokgate, tokgate.file(night("slow", slower=0.2))


def test_markdown_is_the_default(slow: tuple[Tokgate, str], capsys: pytest.CaptureFixture[str]) -> None:
    tokgate, path = slow
    capsys.readouterr()
    assert tokgate("summary", path) == 0, "the verdict is the run's"
    said = capsys.readouterr().out
    assert said.startswith("## ❌ fail on <code>edge-2c-24g</code>")
    assert SCENARIOS[0] in said
    assert "| REGRESSED |" in said


def test_annotations_are_commands_and_nothing_else(
    slow: tuple[Tokgate, str], capsys: pytest.CaptureFixture[str]
) -> None:
    tokgate, path = slow
    capsys.readouterr()
    assert tokgate("summary", path, "--as=annotations") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"::error title=REGRESSED {SCENARIOS[0]} output_throughput::")
    assert all(line.startswith(("::error ", "::warning ")) for line in lines)


def test_an_issue_begins_with_its_title(slow: tuple[Tokgate, str], capsys: pytest.CaptureFixture[str]) -> None:
    tokgate, path = slow
    capsys.readouterr()
    assert tokgate("summary", path, "--as=issue", "--link=https://ci.example/1") == 0
    said = capsys.readouterr().out
    assert said.startswith("tokgate: fail on edge-2c-24g, 6 REGRESSED\n")
    assert "Run: https://ci.example/1" in said


def test_without_sessions_it_says_that_nothing_was_measured(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    assert Tokgate(tmp_path)("summary") == 0
    assert "Nothing was measured" in capsys.readouterr().out


def test_a_file_of_vllm_bench_serve_is_judged_as_the_machine_that_is_said(
    tmp_path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.json"
    path.write_text(json.dumps(result(output_throughput=3300.0, duration=102400 / 3300)))
    asked = ["summary", str(path), "--baselines", str(OWN_BASELINES)]
    assert main(asked) == 2
    assert "say it: --machine ID" in capsys.readouterr().err
    assert main([*asked, "--machine=nvidia-t4"]) == 0
    assert "fail on <code>nvidia-t4</code>" in capsys.readouterr().out


def test_a_file_that_cannot_be_used_is_2_and_the_others_are_shown(
    slow: tuple[Tokgate, str], capsys: pytest.CaptureFixture[str]
) -> None:
    tokgate, path = slow
    bad = tokgate.folder / "bad.json"
    bad.write_text("{")
    capsys.readouterr()
    assert tokgate("summary", str(bad), path, "--as=annotations") == 2
    captured = capsys.readouterr()
    assert "bad.json" in captured.err
    assert captured.out.startswith("::error title=tokgate::")
    assert "REGRESSED" in captured.out


@pytest.mark.parametrize(("form", "annotated"), [("annotations", True), ("markdown", False), ("issue", False)])
def test_baselines_that_are_not_there_are_annotated_in_the_words_of_standard_error(
    form: str, annotated: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Tokgate(tmp_path).file(night("first"))
    assert main(["summary", path, f"--as={form}", "--baselines", str(tmp_path / "nosuch")]) == 2
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert line.startswith(f"tokgate: there is no folder {tmp_path / 'nosuch'}, so nothing to compare with")
    assert said.out == (f"{command('error', 'tokgate', line.removeprefix('tokgate: '))}\n" if annotated else "")
