"""Trends: every session once, software changes where they happened, and no verdict."""

from __future__ import annotations

from pathlib import Path

import pytest
from nights import MACHINE, accepted, night, nights
from unpack import document

from tokgate.baselines import Shelf
from tokgate.errors import InputError
from tokgate.gate.history import Baselines
from tokgate.report.html.figures.trend import Line
from tokgate.report.html.page import render
from tokgate.report.html.timeline import Change, collect, software_changes
from tokgate.report.html.trends import trends_page
from tokgate.session import Session

pytestmark = pytest.mark.unit


@pytest.fixture
def held(tmp_path: Path) -> Baselines:
    return Shelf(accepted(nights(3), tmp_path)).baselines("edge-2c-24g")


def files(*sessions: Session) -> list[tuple[Session, str]]:
    return [(session, f"{session.id}.json") for session in sessions]


def test_a_session_that_is_saved_and_accepted_stands_there_once(held: Baselines) -> None:
    timeline = collect(files(night("night-0", day=1), night("later", day=9)), held)
    assert [(seen.id, seen.standing) for seen in timeline.seen] == [
        ("night-0", "accepted"), ("night-1", "accepted"), ("night-2", "accepted"), ("later", "measured"),
    ]  # fmt: skip
    assert all(seen.rows for seen in timeline.seen)


def test_a_software_change_is_dated_by_the_first_session_that_has_it(held: Baselines) -> None:
    newer = night("later", day=9, software={"onnxruntime": "1.32.0", "uvloop": "0.23.0"})
    again = night("last", day=11, software={"onnxruntime": "1.32.0"})
    changes = software_changes(collect(files(again, newer), held).seen)
    assert changes == [Change(newer.started, "later", "nightly", "onnxruntime", "1.31.1", "1.32.0")]


def test_environments_of_other_rows_or_profiles_are_no_change(held: Baselines) -> None:
    """vLLM's environment holds other packages than ONNX Runtime's; so may that of another profile."""
    vllm = night("vllm", day=9, engine="vllm", software={"onnxruntime": "none"})
    smoke = night("smoke", day=10, profile="smoke", software={"onnxruntime": "1.33.0"})
    same = night("same", day=11)
    assert software_changes(collect(files(vllm, smoke, same), held).seen) == []


def test_a_row_is_drawn_against_the_median_of_its_valid_sessions() -> None:
    told = [("1", "a", "measured", 100.0), ("2", "b", "measured", 100.0), ("3", "c", "invalid", 50.0)]
    line = Line.of("row", "higher", "tok/s", told)
    assert [point.worse_pct for point in line.points] == pytest.approx([0.0, 0.0, 50.0])


def test_the_page_says_that_it_is_no_gate_and_where_each_session_is_kept(held: Baselines) -> None:
    software = {"onnxruntime": "1.32.0"}
    bad = night("bad", day=12, valid=False, reasons=["others took the cores"], software=software)
    newer = night("later", day=9, software=software)
    page = trends_page(str(MACHINE["id"]), files(newer, bad), held, "made")
    shown = document(render(page))
    assert "Information, never the gate" in shown.text
    assert "5 sessions of edge-2c-24g: 3 accepted, 1 not valid; software changed before 1 of them." in shown.text
    sections = {section["id"]: section["blocks"] for section in shown.packed("part-0")}
    assert {row["cells"][4] for row in sections["sessions"][0]["rows"]} == {"baselines", "later.json", "bad.json"}
    (marked,) = [
        trace
        for trace in sections["overview"][0]["views"][0]["figure"]["data"]
        if trace.get("name") == "software changed"
    ]
    assert marked["x"] == [newer.started]
    assert (marked["text"], marked["hovertext"]) == (["1"], ["onnxruntime 1.31.1 → 1.32.0"])
    (change,) = sections["overview"][1]["rows"]
    assert change["cells"][0][0] == "1", "the number on the axis is the table's"
    assert change["cells"][2:] == ["onnxruntime", "1.31.1", "1.32.0", "later"]
    values = [trace["y"] for trace in sections["overview"][0]["views"][0]["figure"]["data"] if trace is not marked]
    assert all(len(value) == 4 for value in values), "an invalid session is in no mean"


def test_a_machine_that_nothing_is_known_of_is_refused() -> None:
    with pytest.raises(InputError, match="no session of edge-2c-24g has any row"):
        trends_page("edge-2c-24g", [], Baselines("edge-2c-24g"), "made")
