"""What both load clients are told, and what their files make of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.unit.serving.examples import RESULT
from tokgate.errors import MeasurementError
from tokgate.plan import PlanRow, Traffic
from tokgate.serving.crosscheck import BothClients, bench_flags

pytestmark = pytest.mark.unit

ROW = PlanRow("row", 50, 512, 512, Traffic(200, both_clients=True))
# Writes the result that is told, as `bench serve` would, and that it was asked.
BENCH = """#!{python}
import json, pathlib, sys, urllib.request
assert urllib.request.proxy_bypass("127.0.0.1") and urllib.request.proxy_bypass("host.example")
words = sys.argv[1:]
value = lambda name: words[words.index(name) + 1]
path = pathlib.Path(value("--result-dir")) / value("--result-filename")
with open({log!r}, "a") as log:
    log.write(value("--seed") + " ")
print("the last words")
if {result!r} is not None:
    path.write_text(json.dumps({result!r}))
"""


def clients(folder: Path, monkeypatch: pytest.MonkeyPatch, result: dict[str, Any] | None) -> BothClients:
    """Both commands are the same script."""
    python = folder / "python"
    python.write_text(BENCH.format(python=sys.executable, log=str(folder / "log"), result=result))
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    return BothClients(str(python), "http://127.0.0.1:8000", "m", "/models/m", folder)


def test_both_are_given_the_guides_flags() -> None:
    words = bench_flags(ROW, "http://127.0.0.1:8000", "m", "/models/m", 7, Path("/tmp/file.json"))
    assert words[:2] == ["bench", "serve"]
    for name, value in {
        "--num-prompts": "200", "--max-concurrency": "50", "--random-input-len": "512", "--random-output-len": "512",
        "--seed": "7", "--result-filename": "file.json",
    }.items():  # fmt: skip
        assert words[words.index(name) + 1] == value
    assert {"--ignore-eos", "--save-result"} <= set(words)


def test_rounds_go_abba_with_prompts_that_the_server_has_not_seen(tmp_path, monkeypatch) -> None:
    """tokgate's client, then vllm's, in rounds of an even number; each by the seed that it was given."""
    both = clients(tmp_path, monkeypatch, RESULT)
    first = both.run(ROW, 0, 70)
    both.run(ROW, 1, 80)
    both.run(ROW, 2, 2**33 - 1)
    assert (tmp_path / "log").read_text().split() == ["70", "71", "81", "80", str(2**32 - 1), "0"]
    assert (first.fault, first.doubt) == (None, None)
    figures = first.figures
    assert figures["output_throughput"] == figures["vllm_bench_output_throughput"] == RESULT["output_throughput"]
    assert figures["mean_ttft"] == pytest.approx(RESULT["mean_ttft_ms"] / 1e3)
    assert first.total_s == pytest.approx(2 * RESULT["duration"])


def test_both_go_past_a_proxy(tmp_path, monkeypatch) -> None:
    """Which the one of them would take, and the other not."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "localhost")
    assert clients(tmp_path, monkeypatch, RESULT).run(ROW, 0, 7).fault is None


def test_other_work_than_was_asked_for_is_a_fault_of_that_client(tmp_path, monkeypatch) -> None:
    short = {**RESULT, "total_output_tokens": RESULT["total_output_tokens"] - 1}
    found = clients(tmp_path, monkeypatch, short).run(ROW, 0, 7)
    assert "tokgate's client: 102399 output tokens; asked for were 102400" in str(found.fault)


def test_timings_that_cannot_be_are_a_doubt_and_no_fault_of_the_work(tmp_path, monkeypatch) -> None:
    found = clients(tmp_path, monkeypatch, {**RESULT, "median_ttft_ms": 0.0}).run(ROW, 0, 7)
    assert found.fault is None
    assert "vllm's client: median_ttft_ms is 0" in str(found.doubt)


def test_a_command_that_writes_nothing_is_told_with_its_last_words(tmp_path, monkeypatch) -> None:
    with pytest.raises(
        MeasurementError, match=r"tokgate bench serve ended with status 0 and no result:\nthe last words"
    ):
        clients(tmp_path, monkeypatch, None).run(ROW, 0, 7)
