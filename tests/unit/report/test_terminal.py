"""The table: what it says, and that 80 columns suffice."""

from __future__ import annotations

import io
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tokgate.gate.verdict import LimitVerdict, Outcome, RowVerdict, SessionVerdict, SuiteVerdict, Verdict
from tokgate.report.bar import ASCII, BOX
from tokgate.report.figures import figures, typical
from tokgate.report.rows_table import Layout, Line, worst
from tokgate.report.terminal import Look, render
from tokgate.report.units import digits_apart, text_of
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
    look: Look | None = None,
    color: bool = False,
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
    console = Console(file=text, width=80, highlight=False, force_terminal=color)
    found = SessionVerdict("s", Outcome.PASS, (judged,), SuiteVerdict(None, ("1 of 2",)))
    console.print(render(session, found, {}, look or Look()))
    return text.getvalue()


@pytest.mark.parametrize("verdict", list(Verdict))
@pytest.mark.parametrize("metric", ["output_throughput", "ttft", "cpu_time_per_token"])
@pytest.mark.parametrize("pairs", [0, 12])
def test_80_columns_suffice(verdict: Verdict, metric: str, pairs: int) -> None:
    """For the change and its interval, in figures and as a bar, of a row with a long name and a long interval."""
    lines = shown(verdict, metric, pairs).splitlines()
    (line,) = [line for line in lines if line.startswith("b8.p128.o256")]
    assert line.rstrip().endswith(f" {verdict}")
    assert any(change in line for change in ("-12.3% [-15.5, +100.2]", "-12% [-16, +100]"))
    assert " p " in line or not pairs
    assert all(sign in line for sign in (BOX.change, BOX.interval, BOX.zero_within, BOX.margin_within, BOX.above))
    assert max(map(len, lines)) <= 80
    assert "…" not in "".join(lines)


def test_what_was_seen_while_it_was_measured_is_told_with_a_reference_and_without() -> None:
    told = {"groups": {"g": {"notes": ["goodput was 0 in 3 of 4 rounds"]}}}
    assert "note: goodput was 0 in 3 of 4 rounds" in shown(Verdict.PASS, telemetry=told)
    paired = shown(Verdict.PASS, pairs=12, telemetry=told, reference={"python": "3.11", "software": {}})
    assert paired.count("note: goodput was 0 in 3 of 4 rounds") == 1


def test_a_stream_that_cannot_write_lines_gets_ascii() -> None:
    text = shown(Verdict.INCONCLUSIVE, look=Look(signs=ASCII))
    assert text.isascii()
    (line,) = [line for line in text.splitlines() if line.startswith("b8.p128.o256")]
    assert all(sign in line for sign in (ASCII.change, ASCII.interval, ASCII.zero_within, ASCII.margin, ASCII.above))


def test_colour_is_only_for_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """And says nothing that is not there without it."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    colored = shown(Verdict.REGRESSED, color=True)
    assert "\x1b[1;31m" in colored
    plain = shown(Verdict.REGRESSED)
    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == plain
    monkeypatch.setenv("NO_COLOR", "1")
    assert "31m" not in shown(Verdict.REGRESSED, color=True)


def lines(*names: str, change: float = 4.1, pairs: int = 0, value: str = "123456") -> dict[str, list[Line]]:
    judged = RowVerdict(ID, "output_throughput", Verdict.INCONCLUSIVE, (), change_pct=change,
                        ci_pct=(change - 6, change + 5), margin_pct=20.0, pairs=pairs)  # fmt: skip
    return {"group": [Line(name, (value, "93.7 ms", "79.5 ms"), judged) for name in names]}


@given(st.integers(60, 100), st.text("b0123456789.po", min_size=1, max_size=17), st.floats(-99, 99), st.booleans())
def test_a_table_is_as_wide_as_the_terminal_where_names_allow_it(
    width: int, name: str, change: float, paired: bool
) -> None:
    """The longest name of the scenarios has 16 letters: b200.p1000.o1000. A bar is there where it has room."""
    layout = Layout.of(lines(name, change=change, pairs=12 * paired), width)
    text = io.StringIO()
    Console(file=text, width=200).print(layout.table(lines(name, change=change, pairs=12 * paired)["group"]))
    drawn = [line.rstrip() for line in text.getvalue().splitlines()]
    assert max(map(len, drawn)) <= max(width, 80)
    assert "…" not in text.getvalue()
    if width >= 80:
        assert layout.bar >= 7, "80 columns have room for a bar"


def test_decimals_go_before_the_bar_does() -> None:
    """A name as long as they come, 80 columns: the change without decimals, and its bar."""
    layout = Layout.of(lines("b200.p1000.o1000", change=-88.8), 80)
    assert layout.bar >= 7
    assert layout.change < len("-88.8% [-94.8, -83.8]")


def test_rows_that_were_compared_with_nothing_leave_the_bar_out() -> None:
    layout = Layout.of(
        {"group": [Line("b1.p5.o50", ("12.5", "", ""), RowVerdict(ID, "ttft", Verdict.INVALID, ()))]}, 80
    )
    assert (layout.bar, layout.legend) == (0, "")


@pytest.mark.parametrize("verdict", list(Verdict))
def test_quiet_shows_rows_that_need_a_reader_and_the_counts(verdict: Verdict) -> None:
    text = shown(verdict, look=Look(quiet=True))
    needed = verdict in (Verdict.REGRESSED, Verdict.INVALID, Verdict.INCONCLUSIVE, Verdict.DRIFT)
    assert ("b8.p128.o256" in text) == needed
    assert f"PASS: 1 {verdict}" in text
    assert len(text.splitlines()) <= (6 if needed else 3)


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


def test_what_the_candidates_engine_chose_otherwise_is_told() -> None:
    engines = {"reference_engine": {"torch": "2.12", "graphs": "FULL"}, "engine": {"torch": "2.13", "graphs": "NONE"}}
    software = {"python": "3.11.7", "onnxruntime": "1.30.0", "torch": "2.13"}
    told = " ".join(
        shown(
            Verdict.PASS, pairs=12, software=software, reference=REFERENCE, telemetry={"groups": {"tiny.vllm": engines}}
        ).split()
    )
    assert "tiny.vllm: the engine's graphs FULL -> NONE" in told
    assert "2.12" not in told, "versions are those of the environments"


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
        (2**31, "B", "2.00 GiB"), (700 * 2**20, "B", "700 MiB"), (0.024, "J", "0.0240 J"), (0.4007, "J", "0.40 J"),
    ],
)  # fmt: skip
def test_values_read_as_people_write_them(value: float, unit: str, text: str) -> None:
    assert text_of(value, unit) == text


def test_a_broken_limit_is_told_unless_a_score_card_follows_that_tells_it() -> None:
    def limit(metric: str, weight_pct: float | None, bound: str = "min") -> LimitVerdict:
        return LimitVerdict(
            ID, metric, bound, 9.0, "s", "x", 8.0, broken=bound != "reference", why=metric, weight_pct=weight_pct
        )

    limits = (limit("on the card", 40.0), limit("without weight", None), limit("beside it", None, "reference"))

    def told(outcome: Outcome, *, carded: bool) -> str:
        session = Session(
            schema=1, id="s", started="2026-11-21T00:00:00+00:00", profile="nightly", valid=True, reasons=[],
            machine={"id": "edge", "kind": "cpu"}, software={}, rows=[row("ttft", 8.0, "s")],
        )  # fmt: skip
        found = SessionVerdict("s", outcome, (), SuiteVerdict(None, ()), limits)
        text = io.StringIO()
        Console(file=text, width=80, highlight=False).print(render(session, found, {}, Look(carded=carded)))
        return text.getvalue()

    assert f"limit: {ID} on the card" in told(Outcome.FAIL, carded=False)
    carded = told(Outcome.FAIL, carded=True)
    assert "on the card" not in carded
    assert f"limit: {ID} without weight" in carded
    assert "FAIL: no gated row; 0 of 2 limits kept\n" in carded, "a reference is none"
    invalid = told(Outcome.INVALID, carded=True)
    assert f"limit: {ID} on the card" in invalid, "an invalid result has no card"
    assert "limits kept" not in invalid


@pytest.mark.parametrize(("value", "bound", "digits"), [(3331.9, 3332.0, 5), (3331.9996, 3332.0, 8), (12.3, 50.0, 5)])
def test_as_many_digits_as_tell_a_value_from_its_bound(value: float, bound: float, digits: int) -> None:
    assert digits_apart(value, bound) == digits
