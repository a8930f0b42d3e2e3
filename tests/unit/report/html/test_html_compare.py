"""Two sessions side by side: which rows stand beside each other, and that nothing is judged."""

from __future__ import annotations

from pathlib import Path

import pytest
from nights import judged, night
from unpack import document

from tokgate.errors import InputError
from tokgate.report.html.blocks import Table
from tokgate.report.html.compare import compare_page, pairs
from tokgate.report.html.data import SessionFacts
from tokgate.report.html.page import render

pytestmark = pytest.mark.unit


@pytest.fixture
def cpu(tmp_path: Path) -> SessionFacts:
    return judged(night("cpu"), tmp_path)


@pytest.fixture
def gpu(tmp_path: Path) -> SessionFacts:
    return judged(night("gpu", engine="vllm", precisions=("int8", "fp16"), slower=-0.9, only="vllm"), tmp_path)


def test_rows_of_the_same_id_stand_beside_each_other_and_beside_no_other(cpu: SessionFacts, tmp_path: Path) -> None:
    found = pairs(cpu, judged(night("later"), tmp_path))
    assert len(found) == 6
    assert all(pair.a.scenario == pair.b.scenario for pair in found)


def test_other_rows_are_matched_by_batch_prompt_and_answer(cpu: SessionFacts, gpu: SessionFacts) -> None:
    """CPU FP32 and GPU FP16 come first: the plot that people ask for."""
    found = pairs(cpu, gpu)
    assert len(found) == 3 * 2 * 2
    assert all(pair.a.shape == pair.b.shape for pair in found)
    assert (found[0].a.name, found[0].b.name) == ("onnx.fp32.b1.p5.o50", "vllm.fp16.b1.p5.o50")


def test_the_page_says_by_how_much_and_that_it_is_no_verdict(cpu: SessionFacts, gpu: SessionFacts) -> None:
    page = compare_page(cpu, gpu, "made")
    (part,) = page.parts
    name = "edge-2c-24g"
    assert part.summary.sentence.startswith(f"B ({name} vllm.fp16) generates 1")
    assert f" as fast as A ({name} onnx.fp32): " in part.summary.sentence
    assert part.summary.sentence.endswith(" tok/s at b1.p5.o50.")
    shown = document(render(page))
    assert "A comparison and no verdict" in shown.text
    runs, table = shown.packed("part-0")[:2]
    (charts,) = runs["blocks"]
    assert [chart["title"] for chart in charts["charts"]] == ["Inference time", "Tokens a second"]
    assert {chart["source"] for chart in charts["charts"]} == {"A: cpu.json, B: gpu.json"}
    assert len(table["blocks"][0]["rows"]) == 12


def test_launches_that_overlap_are_not_called_faster(cpu: SessionFacts, tmp_path: Path) -> None:
    """Two sessions of one machine and one software, 0.5% of noise."""
    (part,) = compare_page(cpu, judged(night("later"), tmp_path), "made").parts
    assert "cannot be told apart by these launches: " in part.summary.sentence
    assert "as fast as" not in part.summary.sentence


def test_what_else_differs_is_in_a_table(cpu: SessionFacts, tmp_path: Path) -> None:
    """Of machine and software; what is alike is not in it."""
    newer = night("later", software={"onnxruntime": "1.32.0", "uvloop": "0.23.0"})
    (part,) = compare_page(cpu, judged(newer, tmp_path), "made").parts
    (section,) = [section for section in part.sections if section.id == "differences"]
    (table,) = section.blocks
    assert isinstance(table, Table)
    assert [list(row.cells) for row in table.rows] == [["onnxruntime", "1.31.1", "1.32.0"], ["uvloop", "", "0.23.0"]]


def test_sessions_without_a_common_shape_are_refused_with_what_they_have(cpu: SessionFacts, tmp_path: Path) -> None:
    empty = judged(night("none", rows=[], valid=False, reasons=["nothing"]), tmp_path)
    with pytest.raises(InputError, match=r"cpu.json and none.json.*b1.p5.o50, b4.p5.o50.*no row"):
        compare_page(cpu, empty, "made")
