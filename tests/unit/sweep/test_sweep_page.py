"""The page of a sweep: what it holds, and that a hostile name in a file stays text."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.unit.sweep.examples import THROUGHPUT, TPOT, candidate, measured, written
from tokgate.report.html.page import render
from tokgate.sweep.constraints import Constraint
from tokgate.sweep.file import Sweep, read_sweep
from tokgate.sweep.outcome import Outcome
from tokgate.sweep.page import sweep_page
from tokgate.sweep.pareto import front
from tokgate.sweep.ranking import Lost, Status, rank
from tokgate.sweep.winner import Winner

sys.path.insert(0, str(Path(__file__).parents[1] / "report" / "html"))
from unpack import Document, document, strings

pytestmark = pytest.mark.unit

HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    '<a href="javascript:alert(1)">x</a>',
)


class _Bench:
    """What of a bench stands on the page."""

    def __init__(self, text: str) -> None:
        self.device = type("Device", (), {"machine": {"id": "edge", "stable": {"cpu_name": text}}})()
        source = type("Source", (), {"model_id": f"m{text}", "note": text, "identity": text})()
        self.opened = type("Opened", (), {"source": source})()
        self.setting = type("Setting", (), {"python": sys.executable})()


def page_of(folder: Path, text: str = "", **more: Any) -> Document:
    sweep = read_sweep(written(folder))
    constraints = [Constraint(THROUGHPUT, "max", 110.0, "110 tok/s"), Constraint(TPOT, "max", 1.0, "1 s")]
    speeds = {1: [102.0, 103.0, 101.0], 2: [101.0, 102.0, 101.5], 3: [50.0, 51.0, 49.0], 4: [120.0, 121.0, 119.0]}
    found = measured(speeds, constraints=constraints)
    for each in found:
        object.__setattr__(each.candidate, "label", f"{each.candidate.label}{text}")
    lost = [Lost(candidate(9, label=f"n=9{text}"), Status.FAILED, f"it crashed {text}\nin a line {text}")]
    outcome = Outcome(sweep, rank(found, "output_throughput", lost), front(found), 12, 60.0)
    best = outcome.ranking.best
    assert best is not None
    winner = Winner(best.measured.candidate, f"vllm serve MODEL --x={text}", text, folder, folder, f"id{text}")
    page: Any = sweep_page(outcome, _Bench(text), winner, f"folder{text}")
    return document(render(page))


def test_it_tells_the_winner_what_is_alike_and_what_was_lost(tmp_path: Path) -> None:
    read = page_of(tmp_path)
    assert "#1 n=1 is the best as measured, 102 tok/s, but 1 other of 4 settings cannot be told apart" in read.text
    assert "these 2 cannot be told apart: #1 n=1, #2 n=2" in read.text
    assert "#9 n=9 FAILED" in read.text
    assert "command: vllm serve MODEL" in read.text
    sections = read.packed("part-0")
    assert [section["id"] for section in sections] == ["front", "ranking", "launches", "winner"]
    (table,) = [block for block in sections[1]["blocks"] if block["kind"] == "table"]
    assert [row["mark"] for row in table["rows"]] == ["BEST", "LEVEL", "BEHIND", "BREAKS", "FAILED"]
    dots = sections[2]["blocks"][0]["views"][0]["figure"]["data"][0]
    assert len(dots["x"]) == 12, "every launch of every setting"


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_name_stays_text(tmp_path: Path, text: str) -> None:
    plain, read = page_of(tmp_path), page_of(tmp_path, text)
    assert [tag for tag, _ in read.tags] == [tag for tag, _ in plain.tags], "no element more"
    assert not [name for _, name, _ in read.attributes if name.startswith("on")]
    figures = [block["views"] for section in read.packed("part-0") for block in section["blocks"] if "views" in block]
    assert figures
    assert not [told for told in strings(figures) if "<script" in told or "<img" in told or "<a " in told]


def test_without_a_tpot_or_a_winner_there_is_a_page_all_the_same(tmp_path: Path) -> None:
    sweep: Sweep = read_sweep(written(tmp_path))
    lost = [Lost(candidate(1), Status.INVALID, "disturbed")]
    outcome = Outcome(sweep, rank([], "output_throughput", lost), front([]), 0, 0.0)
    read = document(render(sweep_page(outcome, _Bench(""), None, "folder")))
    assert "Nothing can be ranked" in read.text
    assert [section["id"] for section in read.packed("part-0")] == ["ranking"]
