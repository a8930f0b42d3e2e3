"""The table: what it says, and that 80 columns suffice."""

from __future__ import annotations

import io

import msgspec
import pytest
from rich.console import Console

from tokgate.gate.verdict import Outcome, RowVerdict, SessionVerdict, SuiteVerdict, Verdict
from tokgate.report.figures import figures, typical
from tokgate.report.terminal import render, worst
from tokgate.report.units import text_of
from tokgate.session import Row, Session

pytestmark = pytest.mark.unit

ID = "qwen2.5-0.5b-instruct-dummy.onnx.fp32.nospin.b8.p128.o256"


def row(metric: str, value: float, unit: str) -> Row:
    return Row(
        scenario=ID, metric=metric, unit=unit, better="lower", gated=True, launches=[[value]],
        group="qwen2.5-0.5b-instruct-dummy.onnx.fp32.nospin",
    )  # fmt: skip


def shown(
    verdict: Verdict,
    metric: str = "output_throughput",
    pairs: int = 0,
    software: dict[str, str] | None = None,
    telemetry: dict[str, object] | None = None,
    **provenance: object,
) -> str:
    rows = [row("output_throughput", 12345.0, "tok/s"), row("ttft", 1.234, "s"), row("tpot", 0.01234, "s")]
    if pairs:
        rows = [msgspec.structs.replace(row, pairs=[[1.0, 1.0]] * pairs) for row in rows]
    session = Session(
        schema=1, id="s", started="2026-11-21T00:00:00+00:00", profile="nightly", valid=True, reasons=[],
        machine={"id": "amd-epyc-7003-2c-24g", "kind": "cpu"}, software=software or {}, rows=rows,
        provenance=provenance, telemetry=telemetry or {},
    )  # fmt: skip
    judged = RowVerdict(ID, metric, verdict, (), change_pct=-12.345, ci_pct=(-15.5, 100.25), mde_pct=30.0,
                        margin_pct=20.0, tolerance_pct=2.0, sessions=5, pairs=pairs)  # fmt: skip
    text = io.StringIO()
    console = Console(file=text, width=80, highlight=False)
    console.print(render(session, SessionVerdict("s", Outcome.PASS, (judged,), SuiteVerdict(None, ("1 of 2",))), {}))
    return text.getvalue()


@pytest.mark.parametrize("verdict", list(Verdict))
@pytest.mark.parametrize("metric", ["output_throughput", "ttft"])
def test_80_columns_suffice(verdict: Verdict, metric: str) -> None:
    lines = shown(verdict, metric).splitlines()
    (line,) = [line for line in lines if line.startswith("b8.p128.o256")]
    assert str(verdict) in line
    assert "-12.3% [-15.5, +100.2]" in line
    assert max(map(len, lines)) <= 80
    assert "…" not in line


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        ("output_throughput", "-12.3% [-15.5, +100.2] paired"),
        ("ttft", "ttft -12% [-16, +100] paired"),
        ("cpu_time_per_token", "cpu -12% [-16, +100] paired"),
    ],
)
def test_a_paired_row_says_so_in_80_columns(metric: str, text: str) -> None:
    lines = shown(Verdict.INCONCLUSIVE, metric, pairs=12).splitlines()
    (line,) = [line for line in lines if line.startswith("b8.p128.o256")]
    assert text in line
    assert "INCONCLUSIVE" in line
    assert max(map(len, lines)) <= 80


REFERENCE = {"python": "3.11.7", "software": {"onnxruntime": "1.30.0", "torch": "none"}, "pairs": 12}


@pytest.mark.parametrize(
    ("onnxruntime", "torch", "pairs", "said"),
    [
        ("1.31.1", "none", 12, "reference -> candidate: onnxruntime 1.30.0 -> 1.31.1 qwen2.5"),
        ("1.31.1", "2.13.0", 12, "onnxruntime 1.30.0 -> 1.31.1; only in the candidate: torch qwen2.5"),
        ("1.30.0", "none", 12, "reference and candidate: no version differs; an A/A run"),
        ("1.31.1", "none", 0, "reference: not measured; the accepted sessions settle every row"),
    ],
)
def test_what_the_candidate_was_paired_with_is_told(onnxruntime: str, torch: str, pairs: int, said: str) -> None:
    software = {"python": "3.11.7", "onnxruntime": onnxruntime, "torch": torch}
    told = shown(Verdict.PASS, pairs=pairs, software=software, reference=REFERENCE)
    assert said in " ".join(told.split())


def test_outputs_that_nothing_was_compared_with_are_told_as_such() -> None:
    group = "qwen2.5-0.5b-instruct-dummy.onnx.fp32.nospin"
    lines = shown(Verdict.PASS, telemetry={"groups": {group: {"build": {"kind": "skeleton-fp16"}}}}).splitlines()
    assert any(line.startswith("  outputs not compared: ") and len(line) <= 80 for line in lines)
    assert "outputs not compared" not in shown(Verdict.PASS)


def test_blind_pairs_want_more_pairs() -> None:
    assert "Measure more pairs." in shown(Verdict.PASS, pairs=12)
    assert "Accept more sessions." in shown(Verdict.PASS)


def test_blindness_comes_first() -> None:
    assert shown(Verdict.PASS).startswith("BLIND: 1 of 1 gated rows")


def test_the_gravest_verdict_is_shown() -> None:
    rows = [
        RowVerdict(ID, "output_throughput", Verdict.PASS, ()),
        RowVerdict(ID, "ttft", Verdict.REGRESSED, ()),
        RowVerdict(ID, "tpot", Verdict.INVALID, (), gated=False),
    ]
    found = worst(rows)
    assert found is not None
    assert found.metric == "ttft"
    assert worst([]) is None


def test_a_figure_is_the_value_the_gate_judges() -> None:
    """Of the launches' medians 2, 4 and 3 the fastest half."""
    rows = Row(scenario=ID, metric="ttft", unit="s", better="lower", gated=True, launches=[[1, 2, 9], [4], [3, 3]])
    assert typical(rows) == pytest.approx((2 * 3) ** 0.5)
    assert figures([rows]) == pytest.approx({"ttft_s": 6**0.5})


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (14.234, "tok/s", "14.2 tok/s"), (2267.4, "tok/s", "2267 tok/s"), (9.876, "tok/s", "9.88 tok/s"),
        (0.1234, "s", "123 ms"), (1.5, "s", "1.50 s"), (0.00054, "s", "540 us"), (1e-9, "s", "0.00 us"),
        (2**31, "B", "2.00 GiB"), (700 * 2**20, "B", "700 MiB"),
    ],
)  # fmt: skip
def test_values_read_as_people_write_them(value: float, unit: str, text: str) -> None:
    assert text_of(value, unit) == text
