"""The page of a sweep: what it holds, and that a hostile name in a file stays text."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.unit.sweep.examples import candidate, written
from tests.unit.sweep.pages import FakeBench, page_of
from tokgate.report.html.page import render
from tokgate.sweep.file import Sweep, read_sweep
from tokgate.sweep.outcome import Outcome
from tokgate.sweep.page import sweep_page
from tokgate.sweep.pareto import front
from tokgate.sweep.ranking import Lost, Status, rank

sys.path.insert(0, str(Path(__file__).parents[1] / "report" / "html"))
from unpack import Document, document, strings

pytestmark = pytest.mark.unit

HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    '<a href="javascript:alert(1)">x</a>',
)


def shown(folder: Path, text: str = "") -> Document:
    return document(render(page_of(folder, text)))


def test_it_tells_the_winner_what_is_alike_and_what_was_lost(tmp_path: Path) -> None:
    read = shown(tmp_path)
    assert "#1 n=1 is the best as measured, 102 tok/s, but 1 other of 4 settings cannot be told apart" in read.text
    assert "these 2 cannot be told apart: #1 n=1, #2 n=2" in read.text
    assert "#9 n=9 FAILED" in read.text
    assert "2 of 2 launches failed" in read.text
    assert "#1 n=1: 1 of 4 launches failed: it died : once" in read.text, "the best one, too"
    assert "command: vllm serve MODEL" in read.text
    sections = read.packed("part-0")
    assert [section["id"] for section in sections] == ["front", "ranking", "launches", "winner"]
    (table,) = [block for block in sections[1]["blocks"] if block["kind"] == "table"]
    assert [row["mark"] for row in table["rows"]] == ["BEST", "LEVEL", "BEHIND", "BREAKS", "FAILED"]
    dots = sections[2]["blocks"][0]["views"][0]["figure"]["data"][0]
    assert len(dots["x"]) == 12, "every launch of every setting"


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_name_stays_text(tmp_path: Path, text: str) -> None:
    plain, read = shown(tmp_path), shown(tmp_path, text)
    assert [tag for tag, _ in read.tags] == [tag for tag, _ in plain.tags], "no element more"
    assert not [name for _, name, _ in read.attributes if name.startswith("on")]
    figures = [block["views"] for section in read.packed("part-0") for block in section["blocks"] if "views" in block]
    assert figures
    assert not [told for told in strings(figures) if "<script" in told or "<img" in told or "<a " in told]


def test_without_a_tpot_or_a_winner_there_is_a_page_all_the_same(tmp_path: Path) -> None:
    sweep: Sweep = read_sweep(written(tmp_path))
    lost = [Lost(candidate(1), Status.INVALID, "disturbed")]
    outcome = Outcome(sweep, rank([], "output_throughput", lost), front([]), 0, 0.0)
    bench: Any = FakeBench()
    read = document(render(sweep_page(outcome, bench, None, "folder")))
    assert "Nothing can be ranked" in read.text
    assert [section["id"] for section in read.packed("part-0")] == ["ranking"]
