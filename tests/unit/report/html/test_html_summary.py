"""The first screen: the verdict in a sentence, what failed and why, what was blind."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from nights import MODEL, accepted, judged, night, nights, round_event

from tokgate.gate.verdict import Outcome
from tokgate.report.html.blocks import NOTHING
from tokgate.report.html.data import SessionFacts
from tokgate.report.html.sentence import sentence
from tokgate.report.html.summary import summary
from tokgate.report.html.tables import rows_table, scenarios_table

pytestmark = pytest.mark.unit


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return accepted(nights(), tmp_path)


def of(store: Path, **how: object) -> SessionFacts:
    return judged(night("sixth", day=6, **how), store)


def test_a_night_like_the_others_says_that_nothing_got_slower(store: Path) -> None:
    facts = of(store)
    assert facts.verdict.outcome is Outcome.PASS
    assert sentence(facts) == "Nothing got slower: 12 gated rows hold against the accepted sessions."
    assert not summary(facts).findings


def test_a_slower_row_is_named_with_its_change_and_what_moved(store: Path) -> None:
    facts = of(store, slower=1.0)
    assert sentence(facts).startswith("2 of 12 gated rows got slower: the worst is onnx.int8.b8.p5.o50 TTFT, ")
    told = summary(facts)
    assert told.tone == "REGRESSED"
    scenario = f"{MODEL}.onnx.int8.b8.p5.o50"
    assert [found.title for found in told.findings] == [
        f"{scenario} tok/s", f"{scenario} TTFT", "all gated rows together",
    ]  # fmt: skip
    assert any("decode (tpot)" in line for found in told.findings for line in found.lines)
    assert told.findings[0].lines[-1] == f"again: pytest -m cpu --perf-profile=nightly -k '[{scenario}]'"
    assert any("launch to launch" in line for line in told.findings[0].more), "the rest is folded"


def test_what_was_not_judged_is_told_beside_what_got_slower(store: Path) -> None:
    """Rows that nobody accepted must not look as if they had passed."""
    session = night("sixth", day=6, slower=1.0)
    renamed = [
        msgspec.structs.replace(row, scenario=row.scenario.replace("fp32.b4", "fp32.b5")) for row in session.rows
    ]
    told = sentence(judged(msgspec.structs.replace(session, rows=renamed), store))
    assert re.search(r"of \d+ gated rows got slower: .* worse; .*2 have no accepted session\.$", told), told


def test_a_pass_beside_rows_without_a_baseline_says_both(store: Path) -> None:
    session = night("sixth", day=6)
    fresh = [
        msgspec.structs.replace(row, scenario=row.scenario.replace("b8.", "b9."))
        for row in session.rows
        if "fp32.b8" in row.scenario
    ]
    told = sentence(judged(msgspec.structs.replace(session, rows=[*session.rows, *fresh]), store))
    assert told == (
        "Nothing is known to be slower: 12 of 14 gated rows hold against the accepted sessions, "
        "2 have no accepted session."
    )


def test_an_invalid_session_tells_each_reason_once() -> None:
    """Five scenarios without usable rounds are one finding, with what differs below it."""
    reasons = [
        f"m.onnx.int8.b{number}.p5.o50: 0 of 6 planned rounds are usable; by pid {number}" for number in range(5)
    ]
    facts = judged(night("bad", valid=False, reasons=reasons), Path("none"))
    assert sentence(facts) == (
        "The figures of this session cannot be believed: 0 of 6 planned rounds are usable in 5 scenarios, "
        "in the first as by pid 0."
    )
    (finding,) = summary(facts).findings
    assert finding.lines == ["m.onnx.int8.b0.p5.o50: by pid 0"]
    assert finding.more[-1] == "m.onnx.int8.b4.p5.o50: by pid 4"


def test_an_invalid_session_says_first_what_is_true_of_all_of_it_and_by_whom_a_row_was_disturbed() -> None:
    scenario = f"{MODEL}.onnx.int8.b8.p5.o50"
    disturbed = (
        f"{scenario}: 1 of 6 planned rounds are usable; others took 46% of the 2 cores (limit 5%; gcc pid 7: 0.5 s): "
        "stop them, or measure at a quieter time"
    )
    told = sentence(judged(night("bad", valid=False, reasons=[disturbed]), Path("none")))
    assert told == (
        "The figures of this session cannot be believed: 1 of 6 planned rounds are usable in onnx.int8.b8.p5.o50 as "
        "others took 46% of the 2 cores."
    )
    whole = "interrupted: only the launches that had ended are here"
    facts = judged(night("bad", valid=False, reasons=[disturbed, whole]), Path("none"))
    assert sentence(facts) == f"The figures of this session cannot be believed: {whole}; and 1 more reason."
    assert [found.title for found in summary(facts).findings] == [
        whole, f"{scenario}: 1 of 6 planned rounds are usable"
    ]  # fmt: skip


def test_without_a_baseline_nothing_is_said_of_a_change(tmp_path: Path) -> None:
    assert sentence(judged(night("first"), tmp_path)).startswith("Nothing can be said of a change: 12 of 12 gated rows")


def test_blind_rows_are_told_with_what_they_would_have_seen(tmp_path: Path) -> None:
    noisy = [night(f"night-{number}", day=number + 1, noise=0.4) for number in range(3)]
    facts = judged(night("now", day=9, noise=0.4), accepted(noisy, tmp_path))
    (blind,) = summary(facts).blind
    assert "would miss a change as large as their margin. Accept more sessions." in blind.title
    assert blind.more
    assert all("its margin is 20%" in line for line in blind.more)


def test_a_commit_with_changes_says_so(tmp_path: Path) -> None:
    session = msgspec.structs.replace(night("one"), provenance={"commit": "abc", "clean": False})
    facts = {name: value for block in summary(judged(session, tmp_path)).facts for name, value in block.entries}
    assert facts["commit"] == "abc, with uncommitted changes"
    assert facts["file"] == "one.json"
    assert facts["cpu_name"] == "EPYC"


def test_the_gravest_rows_stand_first_and_open_their_reasons(store: Path) -> None:
    table = rows_table(of(store, slower=1.0))
    assert [row.mark for row in table.rows[:3]] == ["REGRESSED", "REGRESSED", "PASS"]
    assert table.rows[0].cells[1] == "✕ REGRESSED"
    assert any("worse than the" in why for why in table.rows[0].why)
    assert [row.mark for row in table.rows[12:]] == [""] * 24, "what is not gated comes last and has no verdict"


def test_a_row_that_was_lost_is_in_the_table(store: Path) -> None:
    session = night("sixth", day=6)
    rows = [row for row in session.rows if not (row.metric == "ttft" and "fp32.b1" in row.scenario)]
    table = rows_table(judged(msgspec.structs.replace(session, rows=rows), store))
    lost = [row for row in table.rows if row.mark == "INVALID"]
    assert [row.cells[:2] for row in lost] == [["onnx.fp32.b1.p5.o50", "✖ INVALID"]]


def test_figures_that_no_scenario_has_are_left_out(tmp_path: Path) -> None:
    table = scenarios_table(judged(night("one"), tmp_path))
    labels = [column.label for column in table.columns]
    assert labels == ["scenario", "tok/s", "TTFT", "P99 TTFT", "TPOT", "E2EL", "decode reaches", "memory", "limited by"]
    assert all(len(row.cells) == len(labels) for row in table.rows)


def test_served_rows_have_figures_where_their_server_told_them_and_gaps_where_not(tmp_path: Path) -> None:
    session = night("one", engine="serve", precisions=("fp16",))
    told = {"kv_cache_use": 0.004, "preemptions": 0.0, "prefix_queries": 400.0, "prefix_hits": 100.0,
            "drafted_tokens": 50.0, "accepted_tokens": 10.0}  # fmt: skip
    busy = {"preemptions": 410.0}
    silent = {**dict.fromkeys(told), "readings": 2}
    events = [
        round_event(f"{MODEL}.serve.fp16.b{batch}.p5.o50", server=server)
        for batch, server in ((1, told), (4, silent), (4, busy), (8, None))
    ]
    session.telemetry["groups"] = {f"{MODEL}.serve.fp16": {"launches": [{"rounds": events}]}}
    table = scenarios_table(judged(session, tmp_path))
    labels = [column.label for column in table.columns]
    columns = [labels.index(label) for label in ("KV cache", "preemptions", "prefix hits", "drafts accepted")]
    shown = [[row.cells[column] for column in columns] for row in table.rows]
    assert shown[0] == [("0.4%", 0.004), ("0", 0.0), ("25%", 0.25), ("20%", 0.2)]
    assert shown[1:] == [[NOTHING, ("410", 410.0), NOTHING, NOTHING], [NOTHING] * 4]
