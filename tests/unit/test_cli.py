"""The command line: what it prints, and what it exits with."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from msgspec.structs import replace

from tokgate import session as sessions
from tokgate.cli import main
from tokgate.session import Row, Session

pytestmark = pytest.mark.unit

SCENARIOS = [f"tiny-dummy.onnx.{precision}.b{batch}.p5.o50" for precision in ("fp32", "int8") for batch in (1, 4, 8)]


def night(name: str, slower: float = 0.0, seed: int = 0, machine: str = "edge-2c-24g", valid: bool = True) -> Session:
    noise = random.Random(f"{name} {seed}")
    rows = [
        Row(
            scenario=scenario, metric="output_throughput", unit="tok/s", better="higher", gated=True,
            launches=[[100 * (1 - slower) * (1 + noise.gauss(0, 0.005)) for _ in range(3)] for _ in range(3)],
        )
        for scenario in SCENARIOS
    ]  # fmt: skip
    return Session(
        schema=1, id=name, started=f"2026-11-{10 + len(name) % 15}T00:00:00+00:00", profile="nightly",
        machine={"id": machine, "kind": "cpu"}, software={"onnxruntime": "1.31.1"}, valid=valid,
        reasons=[] if valid else ["others took 40% of the 2 cores"], rows=rows,
    )  # fmt: skip


class Tokgate:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def file(self, session: Session) -> str:
        return str(sessions.write(session, self.folder / "sessions"))

    def __call__(self, *args: str) -> int:
        return main([*args, "--baselines", str(self.folder / "baselines")])

    def accept(self, count: int = 5) -> None:
        paths = [self.file(night(f"night-{number}")) for number in range(count)]
        assert self("accept", *paths, "--reason", "the first nights") == 0


@pytest.fixture
def tokgate(tmp_path: Path) -> Tokgate:
    return Tokgate(tmp_path)


def test_a_sixth_night_like_the_five_passes(tokgate: Tokgate) -> None:
    tokgate.accept()
    assert tokgate("judge", tokgate.file(night("sixth")), "--require-baseline", "--strict") == 0


def test_a_night_20_percent_slower_fails(tokgate: Tokgate, capsys: pytest.CaptureFixture[str]) -> None:
    tokgate.accept()
    assert tokgate("judge", tokgate.file(night("slow", slower=0.2))) == 1
    said = capsys.readouterr().out
    assert f"REGRESSED {SCENARIOS[0]} output_throughput\n" in said
    assert "worse than the" in said
    assert f"again: pytest -m cpu --perf-profile=nightly -k '[{SCENARIOS[0]}]'" in said


def test_the_command_that_measures_again_is_the_one_that_measured(
    tokgate: Tokgate, capsys: pytest.CaptureFixture[str]
) -> None:
    """A setting that was given makes the row slower, and has to be given again."""
    tokgate.accept()
    slow = night("slow", slower=0.2)
    slow.given = {"enforce_eager": True}
    slow.provenance = {"again": "pytest -m vllm_cpu --perf-profile=nightly --perf-set=enforce_eager=true"}
    assert tokgate("judge", tokgate.file(slow)) == 1
    assert f"again: {slow.provenance['again']} -k '[{SCENARIOS[0]}]'" in capsys.readouterr().out


def test_nothing_to_compare_with_is_3_where_required(tokgate: Tokgate) -> None:
    path = tokgate.file(night("first"))
    (tokgate.folder / "baselines").mkdir()
    assert tokgate("judge", path) == 0
    assert tokgate("judge", path, "--require-baseline") == 3


def test_an_accepted_scenario_that_was_not_measured_is_3_where_required_and_named(
    tokgate: Tokgate, capsys: pytest.CaptureFixture[str]
) -> None:
    """As pytest --perf-require-baseline fails a row that was accepted and does not fit today."""
    tokgate.accept()
    whole = night("sixth")
    lacking = tokgate.file(replace(whole, rows=whole.rows[:-2]))
    assert tokgate("judge", lacking) == 0
    capsys.readouterr()
    assert tokgate("judge", lacking, "--require-baseline") == 3
    said = capsys.readouterr()
    assert "not measured: " in said.out
    assert f"sixth lacks 2 accepted scenarios: {', '.join(sorted(SCENARIOS[-2:]))}\n" in said.err
    assert tokgate("judge", lacking, "--require-baseline", "--scenario", SCENARIOS[0]) == 0
    selected = tokgate.file(replace(whole, rows=whole.rows[:-2], family_size=len(whole.rows)))
    assert tokgate("judge", selected, "--require-baseline") == 0, "-k left them out"
    slow = night("slow", slower=0.2)
    assert tokgate("judge", tokgate.file(replace(slow, rows=slow.rows[:-2])), "--require-baseline") == 1


def test_an_invalid_session_is_4_and_cannot_be_accepted(tokgate: Tokgate) -> None:
    tokgate.accept()
    path = tokgate.file(night("disturbed", slower=0.2, valid=False))
    assert tokgate("judge", path) == 4
    assert tokgate("accept", path, "--reason", "x") != 0
    assert "disturbed" not in "".join(file.read_text() for file in (tokgate.folder / "baselines").rglob("*.json"))


def test_what_cannot_be_accepted_is_left_out_where_that_is_asked_for(
    tokgate: Tokgate, capsys: pytest.CaptureFixture[str]
) -> None:
    given = tokgate.file(replace(night("given"), given={"allow_spinning": False}))
    paths = [tokgate.file(night("quiet")), tokgate.file(night("disturbed", valid=False)), given]
    assert tokgate("accept", *paths, "--reason", "x", "--skip-invalid") == 0
    said = capsys.readouterr().out
    assert "left out disturbed: others took 40%" in said
    assert "left out given: measured with allow_spinning=false" in said
    assert "1 added; 1 accepted session\n" in said


def test_where_all_is_left_out_nothing_is_accepted_and_it_is_said(
    tokgate: Tokgate, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [tokgate.file(night(name, valid=False)) for name in ("first", "second")]
    assert tokgate("accept", *paths, "--reason", "x", "--skip-invalid") == 2
    said = capsys.readouterr()
    assert said.out.count("left out ") == 2
    assert said.err == "tokgate: no session to accept: --skip-invalid left out all 2 that were named\n"
    assert not (tokgate.folder / "baselines").exists()
    assert tokgate("accept", paths[0], "--reason", "x", "--skip-invalid") == 2
    assert capsys.readouterr().err.endswith(": --skip-invalid left out the one that was named\n")


def test_bad_input_is_2_and_goes_before_all(tokgate: Tokgate, capsys: pytest.CaptureFixture[str]) -> None:
    tokgate.accept()
    bad = tokgate.folder / "bad.json"
    bad.write_text("{")
    slow = tokgate.file(night("slow", slower=0.2))
    assert tokgate("judge", slow, str(bad)) == 2
    captured = capsys.readouterr()
    assert "bad.json" in captured.err
    assert "REGRESSED" in captured.out, "the other session is judged all the same"
    assert tokgate("judge", str(tokgate.folder / "missing.json")) == 2


def test_invalid_goes_before_slow(tokgate: Tokgate) -> None:
    tokgate.accept()
    slow, invalid = night("slow", slower=0.2), night("invalid", valid=False)
    assert tokgate("judge", tokgate.file(slow), tokgate.file(invalid)) == 4


def test_json_is_one_object_a_session_in_the_agreed_shape(tokgate: Tokgate, capsys: pytest.CaptureFixture[str]) -> None:
    tokgate.accept()
    capsys.readouterr()
    tokgate("judge", tokgate.file(night("sixth")), tokgate.file(night("slow", slower=0.2)), "--json")
    first, second = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (first["session"], first["outcome"], second["outcome"]) == ("sixth", "pass", "fail")
    row = second["rows"][0]
    assert set(row) == {"scenario", "metric", "verdict", "change_pct", "ci_pct", "mde_pct", "why"}
    assert row["change_pct"] == pytest.approx(20, abs=1), "positive is worse, for a throughput too"
    assert row["ci_pct"][0] < row["change_pct"] < row["ci_pct"][1]


def test_another_machines_baselines_are_never_used(tokgate: Tokgate) -> None:
    tokgate.accept()
    path = tokgate.file(night("elsewhere", machine="edge-8c-16g"))
    assert tokgate("judge", path, "--require-baseline") == 3
    assert tokgate("judge", path, "--require-baseline", "--machine", "edge-2c-24g") == 0
    assert tokgate("judge", path, "--machine", "../../etc") == 2


def test_one_scenario_can_be_judged_alone(tokgate: Tokgate, capsys: pytest.CaptureFixture[str]) -> None:
    tokgate.accept()
    capsys.readouterr()
    path = tokgate.file(night("sixth"))
    assert tokgate("judge", path, "--scenario", SCENARIOS[0], "--json") == 0
    assert {row["scenario"] for row in json.loads(capsys.readouterr().out)["rows"]} == {SCENARIOS[0]}
    assert tokgate("judge", path, "--scenario", "tiny-dummy.onnx.fp32.b9.p5.o50") == 2


def test_a_newer_schema_asks_for_a_newer_tokgate(tokgate: Tokgate, capsys: pytest.CaptureFixture[str]) -> None:
    tokgate.accept()
    path = Path(tokgate.file(night("future")))
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 2', 1))
    assert tokgate("judge", str(path)) == 2
    assert "upgrade tokgate" in capsys.readouterr().err


def test_accept_says_what_changes(tokgate: Tokgate, capsys: pytest.CaptureFixture[str]) -> None:
    tokgate.accept()
    out = capsys.readouterr().out
    folder = tokgate.folder / "baselines"
    assert f"{folder}/edge-2c-24g, profile nightly\n" in out
    assert "tiny-dummy.onnx.fp32  5 added; 5 accepted sessions\n" in out
    rows = [line.split()[0] for line in out.splitlines() if line.startswith("b")]
    assert rows == ["b1.p5.o50", "b4.p5.o50", "b8.p5.o50"] * 2
    assert out.endswith(f"\n\nReview and commit: git add {folder} && git diff --cached {folder}\n")
    tokgate.accept()
    assert capsys.readouterr().out.endswith("\n\nNothing changed: there is nothing to review\n")


def test_accept_says_all_where_it_is_asked_to(tokgate: Tokgate, capsys: pytest.CaptureFixture[str]) -> None:
    def with_memory(name: str) -> str:
        found = night(name)
        rows = [
            replace(row, metric="peak_memory", unit="B", better="lower", gated=False, launches=[[2.0**31]])
            for row in found.rows
        ]
        return tokgate.file(replace(found, rows=[*found.rows, *rows]))

    assert tokgate("accept", with_memory("first"), "--reason", "x") == 0
    assert "peak memory" not in capsys.readouterr().out
    assert tokgate("accept", with_memory("second"), "--reason", "x", "--verbose") == 0
    said = capsys.readouterr().out
    assert said.count("  peak memory  2.00 -> 2.00 GiB, 0.0% worse\n") == len(SCENARIOS)


def test_no_command_and_unknown_commands_are_refused() -> None:
    for argv in ([], ["jugde"], ["accept", "x.json"]):
        with pytest.raises(SystemExit) as stop:
            main(argv)
        assert stop.value.code == 2


def test_what_could_not_be_judged_says_why(tokgate: Tokgate, capsys: pytest.CaptureFixture[str]) -> None:
    tokgate("accept", tokgate.file(night("only")), "--reason", "x")
    capsys.readouterr()
    assert tokgate("judge", tokgate.file(night("second"))) == 0
    said = capsys.readouterr().out
    assert f"INCONCLUSIVE {SCENARIOS[0]} output_throughput and 5 more rows" in said
    assert "accept 4 more" in said


def test_a_fault_of_ours_is_no_verdict(
    tokgate: Tokgate, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Python would exit with 1, which is a regression here."""
    tokgate.accept()
    monkeypatch.setattr("tokgate.judging.judge_session", lambda *args: 1 / 0)
    assert tokgate("judge", tokgate.file(night("first"))) == 70
    assert "a fault of tokgate itself" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "usage"),
    [
        (["judge", "x.json", "--no-such"], "usage: tokgate judge "),
        (["bench", "serve", "--no-such"], "usage: tokgate bench serve "),
        (["--no-such", "judge", "x.json"], "usage: tokgate [-h] [--version] COMMAND"),
    ],
)
def test_an_unknown_flag_is_refused_with_the_usage_of_its_command(
    argv: list[str], usage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(usage)
    assert "unrecognized arguments: --no-such" in said
