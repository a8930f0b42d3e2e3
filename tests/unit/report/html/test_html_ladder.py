"""The page of a ladder: a lane a step, in every metric that any has; names from files are inert."""

from __future__ import annotations

from pathlib import Path

import pytest
from nights import MODEL, night
from unpack import document, strings

from tokgate import session as sessions
from tokgate.cli import main
from tokgate.report.html.ladder import ladder_page
from tokgate.report.html.page import render
from tokgate.report.ladder import climb
from tokgate.report.ladder_file import Ladder, Step

pytestmark = pytest.mark.unit

HOSTILE = "</script><img src=x onerror=alert(1)><b>"
GRAPH = "onnx.int8.b1.p5.o50"
LADDER = Ladder(
    "Up",
    (Step("plain", "onnx.fp32.b1.p5.o50", "where users start", "measure plain"),
     Step("eight bits", GRAPH, "rounded", "measure eight"),
     Step("batch", "onnx.int8.b4.p5.o50", "four at once", "measure batch"),
     Step("four bits", "genai.int4.b4.p5.o50", "rounded more", "measure four")),
)  # fmt: skip


def faster(name: str = "s", **changes: object) -> sessions.Session:
    """A session in which INT8 with one prompt takes 40% of the time of FP32, without noise."""
    return night(name, slower=-0.6, only="int8.b1", noise=0.0, **changes)


def page_of(*found: sessions.Session) -> str:
    return render(ladder_page(climb(LADDER, found), {session.id: f"{session.id}.json" for session in found}, "made"))


def test_the_page_says_how_far_up_it_goes_and_what_is_missing() -> None:
    shown = document(page_of(faster()))
    assert "batch makes 4.00x the tokens a second of plain; 3 of 4 steps measured" in shown.text
    assert "not measured four bits" in shown.text
    assert "measure it: measure four" in shown.text
    steps, figures = shown.packed("part-0")
    (charts,) = steps["blocks"]
    assert charts["selects"] == ["metric"]
    assert [len(chart["views"]) for chart in charts["charts"]] == [5, 5, 5]
    assert {chart["source"] for chart in charts["charts"]} == {"s.json"}
    (table,) = figures["blocks"]
    assert [line["cells"][2] for line in table["rows"]] == ["measured", "measured", "measured", "not measured"]
    assert "measured in s.json" in table["rows"][0]["why"]


def test_each_lane_has_its_figure_or_says_why_there_is_none() -> None:
    session = faster(valid=False, reasons=[f"{MODEL}.{GRAPH}: disturbed"])
    (charts,) = document(page_of(session)).packed("part-0")[0]["blocks"]
    gave, before, first = (chart["views"][0]["figure"] for chart in charts["charts"])
    assert gave["data"][0]["y"] == [0, 2]
    assert [(note["y"], note["text"]) for note in gave["layout"]["annotations"]] == [
        (1, "INVALID"),
        (3, "not measured"),
    ]
    assert before["data"][0]["y"] == []
    assert {(note["y"], note["text"]) for note in before["layout"]["annotations"]} == {
        (1, "INVALID"), (2, "nothing to compare"), (3, "not measured"),
    }  # fmt: skip
    assert first["data"][0]["y"] == [2]
    assert first["data"][0]["x"] == [4]


def test_what_stands_in_a_session_is_text_and_nothing_else() -> None:
    session = faster(f"s{HOSTILE.replace('/', '')}", valid=False, reasons=[f"{MODEL}.{GRAPH}: {HOSTILE}"])
    shown = document(page_of(session))
    assert "img" not in {tag for tag, _ in shown.tags}
    assert not {name for _, names in shown.tags for name in names if name.startswith("on")}
    assert HOSTILE in shown.text
    drawn = [view["figure"] for section in shown.packed("part-0") for block in section["blocks"]
             for chart in block.get("charts", ()) for view in chart["views"]]  # fmt: skip
    assert drawn
    assert not [text for text in strings(drawn) if "<img" in text], "plotly reads tags in its texts"


def test_the_command_writes_the_page_and_prints_its_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = sessions.write(faster(), tmp_path)
    page = tmp_path / "ladder.html"
    assert main(["report", "--ladder", str(path), "-o", str(page)]) == 0
    assert capsys.readouterr().out.strip() == str(page)
    assert "From plain PyTorch to vLLM on a CPU: 2 of 8 steps measured" in document(page.read_text()).text
