"""`tokgate prove` as a user meets it; a gate that is broken on purpose does not get by."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tokgate.cli import main
from tokgate.gate.verdict import Outcome, SessionVerdict, Verdict
from tokgate.prove import trial

pytestmark = pytest.mark.unit

QUICK = ("prove", "--quick", "--jobs", "1")


def broken_gate(outcome: Outcome, verdict: Verdict) -> Callable[..., SessionVerdict]:
    """A gate that says the same of every night and row."""
    sound = trial.judge_session

    def judge(*args: Any) -> SessionVerdict:
        found = sound(*args)
        return replace(found, outcome=outcome, rows=tuple(replace(row, verdict=verdict) for row in found.rows))

    return judge


def test_the_gate_as_it_is_keeps_its_claims(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*QUICK, "--nights", "8"]) == 0
    out = capsys.readouterr().out
    assert "BROKEN" not in out.split("BROKEN: ")[0]
    assert max(map(len, out.splitlines())) <= 100


def test_a_gate_that_always_alarms_is_found_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trial, "judge_session", broken_gate(Outcome.FAIL, Verdict.REGRESSED))
    assert main([*QUICK, "--nights", "5"]) == 1
    assert "BROKEN" in capsys.readouterr().out


def test_a_gate_that_never_alarms_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "judge_session", broken_gate(Outcome.PASS, Verdict.PASS))
    assert main([*QUICK, "--nights", "5"]) == 1


def test_json_holds_the_rates_and_the_claims(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*QUICK, "--nights", "2", "--json", "--seed", "5"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["seed"] == 5
    assert {"id", "noise", "effect", "pairs", "rates"} == set(data["situations"][0])
    assert {"count", "nights", "rate", "low", "high"} == set(data["situations"][0]["rates"]["stored5"])
    assert all(claim["broken"] is False for claim in data["claims"])


@pytest.mark.parametrize("option", ["--nights", "--jobs", "--launches", "--rounds"])
def test_a_count_below_one_is_refused(option: str) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["prove", option, "0"])
    assert stop.value.code == 2
