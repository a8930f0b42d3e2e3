"""`tokgate report`: columns that some row fills, in 100 of the terminal's."""

from __future__ import annotations

import io
import json
from pathlib import Path

import msgspec
import pytest
from rich.console import Console
from sessions import SCENARIO, round_event, row, served, session

from tokgate import session as sessions
from tokgate.cli import main
from tokgate.report.details_table import render_details
from tokgate.report.units import share_text
from tokgate.session import Session

pytestmark = pytest.mark.unit


def shown(found: Session, width: int = 100) -> list[str]:
    text = io.StringIO()
    Console(file=text, width=width, highlight=False).print(render_details(found))
    return [line.rstrip() for line in text.getvalue().splitlines()]


def test_the_longest_row_fits_in_100_columns() -> None:
    lines = shown(session(), width=200)
    (line,) = [line for line in lines if line.startswith("b200.p1000.o1000")]
    assert line.split() == [
        "b200.p1000.o1000", "16515", "50%", "memory", "0.0153", "50%", "400", "132.00", "GiB", "1.6k/16k", "2.00",
        "25%", "20%", "81.0", "us",
    ]  # fmt: skip
    assert max(map(len, lines)) <= 100


def test_columns_that_no_row_fills_are_left_out_with_their_legend() -> None:
    cpu = session(
        round_event(gpu=None, kv_cache=None, counters={}),
        kind="cpu",
        rows=[row("output_throughput", 36.0, "tok/s"), row("peak_memory", 2.0**30, "B")],
    )
    lines = shown(cpu)
    (header,) = [line for line in lines if "tok/s" in line]
    assert header.split() == ["tok/s", "memory"]
    assert not [line for line in lines if line.startswith(("decode at:", "KV tokens:", "spec:", "GPU, W:"))]


def test_served_rows_fill_the_same_columns_and_leave_a_gap_for_what_was_not_told() -> None:
    other = SCENARIO.replace("b200", "c10")
    told = served(kv_cache_use=0.45, preemptions=41.0, prefix_queries=400.0, prefix_hits=100.0, drafted_tokens=50.0,
                  accepted_tokens=10.0)  # fmt: skip
    rows = [row("output_throughput", 16515.0, "tok/s"), row("output_throughput", 20.0, "tok/s", other)]
    lines = shown(session(told, {**served(), "scenario": other, "gpu": None}, rows=rows))
    (header,) = [line for line in lines if "tok/s" in line]
    assert header.split()[-5:] == ["KV", "tokens", "preempt", "prefix", "spec"]
    cells = {line.split()[0]: line.split()[1:] for line in lines if line.startswith(("b200.", "c10."))}
    assert cells["b200.p1000.o1000"][-4:] == ["45%", "41.0", "25%", "20%"]
    assert cells["c10.p1000.o1000"] == ["20.0"]


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, "0%"), (1e-6, "<0.1%"), (0.031, "3.1%"), (0.25, "25%"), (1.0, "100%")]
)
def test_a_share_above_nothing_never_reads_as_0(share: float, expected: str) -> None:
    assert share_text(share) == expected


def test_a_start_and_the_machines_own_peaks_stand_above() -> None:
    lines = shown(session(compiled={"flashinfer": 2}))
    assert "the machine itself: 4 TB/s read, 800 TFLOP/s in FP16, a yardstick for other precisions" in lines
    assert any(line.endswith("start 21 s, new in the caches (flashinfer 2)") for line in lines)


def test_an_invalid_session_says_so_first() -> None:
    found = msgspec.structs.replace(session(), valid=False, reasons=["a", "b", "c", "d"])
    assert [line for line in shown(found)[:6] if "INVALID" in line] == ["INVALID: a", "INVALID: b", "INVALID: c"]
    assert "  and 1 more" in shown(found)


def test_the_command_takes_sessions_and_benchmark_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = sessions.write(session(), tmp_path)
    benchmark = tmp_path / "benchmark.json"
    benchmark.write_text(json.dumps({"benchmarks": [], "tokgate": json.loads(path.read_text())}))
    assert main(["report", str(path), str(benchmark)]) == 0
    assert capsys.readouterr().out.count("b200.p1000.o1000") == 2


def test_bad_input_is_2_and_the_others_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = sessions.write(session(), tmp_path)
    wrong = tmp_path / "wrong.json"
    wrong.write_text("{}")
    assert main(["report", str(tmp_path / "missing.json"), str(wrong), str(path)]) == 2
    out, err = capsys.readouterr()
    assert "b200.p1000.o1000" in out
    assert "missing.json: cannot be read" in err
    assert "wrong.json: not a tokgate session" in err
