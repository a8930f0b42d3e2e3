"""What the tracing process does beside the engine: each row warm, then once under the profiler, its files named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tokgate import traceworker
from tokgate.engines import Generation
from tokgate.plan import PLAN_SCHEMA, Asked, LaunchPlan, PlanRow
from tokgate.traceworker import trace

pytestmark = pytest.mark.unit


class Traced:
    """An engine of two workers, whose profiler writes files as vLLM's does."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.calls: list[tuple[str, int]] = []

    def generate(self, prompts: Any, output_len: int, sampling: Any = None) -> Generation:
        self.calls.append(("generate", output_len))
        return Generation(np.ones((len(prompts), output_len), np.int64), 0.1, 1.0)

    def traced(self, prompts: Any, output_len: int, sampling: Any = None) -> Generation:
        self.calls.append(("traced", output_len))
        folder = Path(self.settings["profiler_config"]["torch_profiler_dir"])
        for worker in ("tp1_rank1", "tp0_rank0"):
            (folder / f"{worker}.{len(self.calls)}.pt.trace.json.gz").write_text(worker)
        (folder / "rank0.profiler_out.txt").write_text("a table")
        return Generation(np.ones((len(prompts), output_len), np.int64), 0.1, 2.0)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> list[Traced]:
    loaded: list[Traced] = []

    def load(name: str, model_dir: str, threads: int, settings: dict[str, Any]) -> Traced:
        loaded.append(Traced(settings))
        return loaded[-1]

    monkeypatch.setattr(traceworker.engines, "load", load)
    return loaded


def test_each_row_is_traced_once_and_warm_into_files_of_its_name(engine: list[Traced], tmp_path: Path) -> None:
    events: list[dict[str, Any]] = []
    plan = LaunchPlan(
        PLAN_SCHEMA, "vllm", "", 10, {"dtype": "float16"}, 1, 1, 0, 0, 0,
        (PlanRow("g.b2.p5.o4", 2, 5, 4), PlanRow("g.b1.p5.o8", 1, 5, 8)),
    )  # fmt: skip
    folder = tmp_path / "g"
    trace(plan, folder, events.append)
    (loaded,) = engine
    assert loaded.calls == [("generate", 4), ("traced", 4), ("generate", 8), ("traced", 8)]
    assert loaded.settings["dtype"] == "float16"
    assert plan.settings == {"dtype": "float16"}, "what is measured has no profiler"
    assert [event["event"] for event in events] == ["loaded", "traced", "traced", "done"]
    assert events[1]["scenario"] == "g.b2.p5.o4"
    assert events[1]["total_s"] == 2.0
    assert [Path(file).name for file in events[1]["files"]] == [
        "b2.p5.o4.tp0_rank0.pt.trace.json.gz",
        "b2.p5.o4.tp1_rank1.pt.trace.json.gz",
    ]
    assert [Path(file).read_text() for file in events[2]["files"]] == ["tp0_rank0", "tp1_rank1"]


def test_rows_of_one_shape_that_ask_otherwise_have_files_of_their_own(engine: list[Traced], tmp_path: Path) -> None:
    events: list[dict[str, Any]] = []
    drawn = PlanRow("m.vllm.fp16.sampled.b1.p5.o8", 1, 5, 8, asked=Asked(sampling={"temperature": 1.0}))
    rows = (PlanRow("m.vllm.fp16.b1.p5.o8", 1, 5, 8), drawn)
    plan = LaunchPlan(PLAN_SCHEMA, "vllm", "", 10, {}, 1, 1, 0, 0, 0, rows)
    trace(plan, tmp_path / "m.vllm.fp16", events.append)
    names = [Path(file).name.partition(".tp")[0] for event in events[1:3] for file in event["files"]]
    assert names == ["b1.p5.o8"] * 2 + ["sampled.b1.p5.o8"] * 2
