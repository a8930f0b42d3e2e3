"""The pytest-benchmark file of a run over several matrices: commands take all its sessions, and none denies another's.

Two matrices of three scenarios each, judged against five nights of both.
"""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from tests.unit.test_cli import SCENARIOS, Tokgate, night
from tokgate.session import Session

pytestmark = pytest.mark.unit

DENIED = "accepted scenarios of this profile are not in this session"
UNHELD = "their limits were held against nothing"
ABSENT = "tiny-dummy.onnx.fp16.b1.p5.o50"


def part(whole: Session, precision: str, **changes: object) -> Session:
    """What the matrix of that precision measured; its id is made of both."""
    rows = [row for row in whole.rows if f".{precision}." in row.scenario]
    return replace(whole, id=f"{whole.id}-{precision}", rows=rows, family_size=len(rows), **changes)


def halves(name: str, **changes: float) -> list[Session]:
    return [part(night(name, **changes), precision) for precision in ("fp32", "int8")]


@pytest.fixture
def tokgate(tmp_path: Path) -> Tokgate:
    """With accepted nights, and a limit on a scenario of each matrix and on one that nobody measured."""
    tokgate = Tokgate(tmp_path)
    paths = [tokgate.file(each) for number in range(5) for each in halves(f"night-{number}")]
    assert tokgate("accept", *paths, "--reason", "the first nights") == 0
    limits = [
        f"[[limit]]\nscenario = {scenario!r}\nmetric = 'output_throughput'\n"
        "min = 1.0\nunit = 'tok/s'\nsource = 'a floor'\n"
        for scenario in (SCENARIOS[0], SCENARIOS[-1], ABSENT)
    ]
    (tmp_path / "baselines" / "edge-2c-24g" / "limits.toml").write_text("".join(limits))
    return tokgate


def benchmark_file(tokgate: Tokgate, *found: Session) -> str:
    path = tokgate.folder / "benchmark.json"
    path.write_text(json.dumps({"benchmarks": [], "tokgate": [msgspec.to_builtins(each) for each in found]}))
    return str(path)


def notes(said: str) -> list[list[str]]:
    return [json.loads(line)["notes"] for line in said.splitlines()]


def test_judge_takes_all_sessions_and_none_denies_what_another_measured(
    tokgate: Tokgate, capsys: pytest.CaptureFixture[str]
) -> None:
    found = halves("sixth")
    capsys.readouterr()
    only = f"not measured: {ABSENT} (output_throughput): {UNHELD}"
    assert tokgate("judge", benchmark_file(tokgate, *found), "--json", "--require-baseline") == 0
    assert notes(capsys.readouterr().out) == [[only], [only]]
    assert tokgate("judge", *(tokgate.file(each) for each in found), "--json", "--require-baseline") == 0
    each_alone = notes(capsys.readouterr().out)
    assert all(any(DENIED in note for note in told) for told in each_alone), "files may be of two nights"
    assert tokgate("judge", tokgate.file(found[0]), "--json") == 0
    assert notes(capsys.readouterr().out) == [
        [
            f"3 {DENIED}: {', '.join(SCENARIOS[3:])}",
            f"not measured: {SCENARIOS[-1]} (output_throughput), {ABSENT} (output_throughput): {UNHELD}",
        ]
    ]


def test_sessions_of_another_machine_or_profile_stand_for_nothing(
    tokgate: Tokgate, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, other = halves("sixth")
    capsys.readouterr()
    for strange in (replace(other, profile="quick"), replace(other, machine={"id": "edge-8c", "kind": "cpu"})):
        tokgate("judge", benchmark_file(tokgate, mine, strange), "--json")
        assert any(DENIED in note for note in notes(capsys.readouterr().out)[0])
    tokgate("judge", benchmark_file(tokgate, mine, strange), "--json", "--machine", "edge-2c-24g")
    assert not any(DENIED in note for told in notes(capsys.readouterr().out) for note in told), "one machine now"


def test_the_worst_of_a_files_sessions_is_the_exit_status(tokgate: Tokgate) -> None:
    good, slow = halves("sixth")[0], halves("slow", slower=0.2)[1]
    assert tokgate("judge", benchmark_file(tokgate, good, slow)) == 1
    assert tokgate("judge", benchmark_file(tokgate, slow, part(night("bad", valid=False), "fp32"))) == 4


def test_what_a_session_lost_is_3_though_another_night_has_it(
    tokgate: Tokgate, capsys: pytest.CaptureFixture[str]
) -> None:
    """Or the night that has a row would hide that the newest does not."""
    whole, lacking = halves("sixth")[0], halves("seventh")[0]
    lacking = replace(lacking, rows=lacking.rows[:-1], family_size=len(lacking.rows) - 1)
    capsys.readouterr()
    assert tokgate("judge", benchmark_file(tokgate, whole, lacking), "--require-baseline") == 3
    said = capsys.readouterr()
    assert f"seventh-fp32 lacks 1 accepted scenario: {SCENARIOS[2]}\n" in said.err
    assert f"note: not measured: {SCENARIOS[2]}: accepted in this profile" in " ".join(said.out.split())


def test_one_scenario_is_that_of_the_sessions_that_measured_it(
    tokgate: Tokgate, capsys: pytest.CaptureFixture[str]
) -> None:
    path = benchmark_file(tokgate, *halves("sixth"))
    capsys.readouterr()
    assert tokgate("judge", path, "--scenario", SCENARIOS[4], "--json") == 0
    (told,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (told["session"], [row["scenario"] for row in told["rows"]]) == ("sixth-int8", [SCENARIOS[4]])
    assert told["notes"] == [], "one was asked for"
    assert tokgate("judge", path, "--scenario", "nosuch") == 2
    assert f"has no scenario 'nosuch'; it has {', '.join(SCENARIOS)}" in capsys.readouterr().err


def test_accept_takes_all_sessions_of_a_file(tokgate: Tokgate, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert tokgate("accept", benchmark_file(tokgate, *halves("sixth")), "--reason", "x") == 0
    said = capsys.readouterr().out
    assert said.count("1 added; 6 accepted sessions") == 2
    stored = tokgate.folder / "baselines" / "edge-2c-24g"
    assert "sixth-fp32" in (stored / f"{SCENARIOS[0]}.json").read_text()
    assert "sixth-int8" in (stored / f"{SCENARIOS[-1]}.json").read_text()


@pytest.mark.parametrize("form", ["markdown", "issue"])
def test_summary_tells_each_session_and_denies_none(
    form: str, tokgate: Tokgate, capsys: pytest.CaptureFixture[str]
) -> None:
    path = benchmark_file(tokgate, *halves("slow", slower=0.2))
    capsys.readouterr()
    assert tokgate("summary", path, f"--as={form}") == 0
    said = capsys.readouterr().out
    assert [said.count(f"slow-{precision}</code>") for precision in ("fp32", "int8")] == [1, 1]
    assert DENIED not in said
    (tell,) = {line for line in said.splitlines() if "held against nothing" in line}
    assert ABSENT in tell
    assert SCENARIOS[-1] not in tell


def test_report_shows_each_session_and_denies_none(tokgate: Tokgate, capsys: pytest.CaptureFixture[str]) -> None:
    path = benchmark_file(tokgate, *halves("sixth"))
    page = tokgate.folder / "report.html"
    capsys.readouterr()
    assert tokgate("report", path) == 0
    said = capsys.readouterr().out
    assert all(f"sixth-{precision}" in said for precision in ("fp32", "int8"))
    assert tokgate("report", path, "-o", str(page)) == 0
    text = page.read_text()
    assert all(f"sixth-{precision}" in text for precision in ("fp32", "int8"))
    assert DENIED not in text
    assert ABSENT in text, "nobody measured it"
    assert tokgate("report", tokgate.file(halves("sixth")[0]), "-o", str(page)) == 0
    assert DENIED in page.read_text()


def test_ladder_and_scaling_take_all_and_a_comparison_says_that_it_takes_one(
    tokgate: Tokgate, capsys: pytest.CaptureFixture[str]
) -> None:
    path = benchmark_file(tokgate, *halves("sixth"))
    capsys.readouterr()
    tokgate("report", "--scaling", path)
    said = capsys.readouterr().err
    assert all(f"sixth-{precision} is left out: measured on a CPU" in said for precision in ("fp32", "int8"))
    gpu = {"id": "nvidia-t4", "kind": "gpu"}
    tokgate("report", "--ladder", benchmark_file(tokgate, *(replace(each, machine=gpu) for each in halves("sixth"))))
    assert "no step of the ladder was measured in these sessions" in capsys.readouterr().err
    page = tokgate.folder / "compare.html"
    assert tokgate("report", "--compare", path, path, "-o", str(page)) == 2
    said = capsys.readouterr().err
    assert f"{path}: it holds 2 sessions" in said
    assert "sixth-fp32, sixth-int8; name the file of one" in said
    assert not page.exists()


def test_trends_draw_all_sessions_of_a_file(tokgate: Tokgate) -> None:
    found = halves("sixth")
    (tokgate.folder / "saved").mkdir()
    Path(benchmark_file(tokgate, *found)).rename(tokgate.folder / "saved" / "benchmark.json")
    page = tokgate.folder / "trends.html"
    assert tokgate("report", "--trends", "-o", str(page), "--sessions", str(tokgate.folder / "saved")) == 0
    assert "12 sessions of edge-2c-24g" in page.read_text()


def test_a_faulty_session_of_a_file_is_2_and_other_files_are_judged(
    tokgate: Tokgate, capsys: pytest.CaptureFixture[str]
) -> None:
    found = halves("sixth")
    bad = benchmark_file(tokgate, found[0], replace(found[1], rows=[]))
    capsys.readouterr()
    assert tokgate("judge", bad, tokgate.file(found[0]), "--json") == 2
    said = capsys.readouterr()
    assert f"{bad}: session 2 of 2: " in said.err
    assert [json.loads(line)["session"] for line in said.out.splitlines()] == ["sixth-fp32"]
