"""The tables of a session: every row with its verdict, and every scenario with what stands beside its speed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tokgate.gate.scale import launch_values, signed_text, size_text
from tokgate.gate.verdict import Verdict
from tokgate.report.details import Details, details
from tokgate.report.figures import scenarios_by_group
from tokgate.report.html.blocks import NOTHING, Cell, Column, Table, TableRow
from tokgate.report.html.data import RowFacts, SessionFacts, short_names
from tokgate.report.html.figures.base import MARKS, metric_name
from tokgate.report.html.nights import detail_key
from tokgate.report.units import share_text, text_of

_ORDER = list(MARKS)
_ROWS = (
    Column("row"),
    Column("verdict"),
    Column("metric"),
    Column("value", number=True, title="as the gate judges it: of the launches the fastest half's mean"),
    Column("baseline", number=True, title="mean of the accepted sessions, or the reference's of pairs"),
    Column("worse by", number=True, title="positive is worse, for a throughput as for a latency"),
    Column("interval", number=True, title="the two bounds that the verdict used"),
    Column("sees from", number=True, title="the smallest change that would be seen in 80% of nights"),
    Column("launches apart", number=True, title="the slowest launch over the fastest"),
)


def rows_table(facts: SessionFacts) -> Table:
    """Gated rows first, the gravest first; each opens its history and the reasons."""
    ordered = sorted(facts.rows, key=lambda row: (not row.row.gated, _grave(row)))
    known = {row.row.key for row in facts.rows}
    lost = [row for row in facts.verdict.rows if row.key not in known]
    names = short_names([*facts.groups, *(row.scenario for row in lost)])
    rows = [_row(row, f"{names[row.group]}.{row.label}", detail_key(facts, row.key)) for row in ordered]
    rows += [
        TableRow([names[row.scenario], _worded(row.verdict, row.gated), metric_name(row.metric), *[NOTHING] * 6],
                 mark=str(row.verdict), why=row.why)
        for row in lost
    ]  # fmt: skip
    return Table("rows", _ROWS, rows, facts.file)


def _grave(row: RowFacts) -> int:
    return _ORDER.index(Verdict(row.verdict))


def _worded(verdict: Verdict, gated: bool) -> str:
    return f"{MARKS[verdict].sign} {verdict}" if gated else "not gated"


def _row(row: RowFacts, name: str, key: str) -> TableRow:
    judged = row.judged
    unit = row.row.unit
    cells: list[Cell] = [
        name,
        _worded(Verdict(row.verdict), row.row.gated),
        metric_name(row.row.metric),
        (text_of(row.value, unit), row.value),
        _number(judged.baseline_value if judged else None, lambda value: text_of(value, unit)),
        _number(judged.change_pct if judged else None, lambda value: f"{signed_text(value)}%"),
        _interval(row),
        _number(judged.mde_pct if judged else None, size_text),
        _number(_apart_pct(row), lambda value: f"{value:.1f}%"),
    ]
    return TableRow(cells, row.verdict if row.row.gated else "", key, judged.why if judged else ())


def _interval(row: RowFacts) -> Cell:
    bounds = row.judged.ci_pct if row.judged else None
    return (f"{signed_text(bounds[0])} to {signed_text(bounds[1])}", bounds[1] - bounds[0]) if bounds else NOTHING


def _apart_pct(row: RowFacts) -> float | None:
    values = launch_values(row.row.launches)
    return 100 * (max(values) / min(values) - 1) if len(values) > 1 else None


def _number(value: float | None, words: Callable[[float], str]) -> Cell:
    return NOTHING if value is None else (words(value), value)


@dataclass(frozen=True)
class _Figure:
    label: str
    value: Callable[[Details], float | None]
    words: Callable[[float], str]
    title: str = ""


def _count(value: float) -> str:
    """Of a mean over rounds."""
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


_FIGURES = (
    _Figure("tok/s", lambda row: row.tok_s, lambda value: text_of(value, "")),
    _Figure("decode reaches", lambda row: row.decode_share, share_text, "the roofline's floor of a step over its time"),
    _Figure("J/token", lambda row: row.energy_j, lambda value: f"{value:.3g}"),
    _Figure("GPU use", lambda row: row.gpu_share, share_text, "mean of rounds of a second and more"),
    _Figure("GPU power", lambda row: row.power_w, lambda value: f"{value:.0f} W"),
    _Figure("memory", lambda row: row.memory_bytes, lambda value: text_of(value, "B"), "the GPUs' where there are any"),
    _Figure("KV cache", lambda row: row.cache_share, share_text, "the most of it that was in use at once"),
    _Figure("preemptions", lambda row: row.preemptions, _count, "in a round"),
    _Figure("prefix hits", lambda row: row.prefix_hits, share_text, "prompt tokens found in the KV cache"),
    _Figure("drafts accepted", lambda row: row.accepted, share_text),
    _Figure("CPU/token", lambda row: row.cpu_s, lambda value: text_of(value, "s")),
)
_LATENCIES = ("ttft", "p99_ttft", "tpot", "p99_tpot", "itl", "e2el")


def scenarios_table(facts: SessionFacts) -> Table:
    """A line a scenario; figures that none of them has are left out."""
    found = [
        row
        for group, scenarios in scenarios_by_group(facts.session.rows).items()
        for row in details(facts.session, group, scenarios)
    ]
    groups = short_names(facts.groups)
    measured = {row.row.metric for row in facts.rows}
    latencies = [metric for metric in _LATENCIES if metric in measured]
    shown = [figure for figure in _FIGURES if any(figure.value(row) is not None for row in found)]
    columns = [
        Column("scenario"),
        *(Column(figure.label, number=True, title=figure.title) for figure in shown[:1]),
        *(Column(metric_name(metric), number=True) for metric in latencies),
        *(Column(figure.label, number=True, title=figure.title) for figure in shown[1:]),
        *([Column("limited by")] if any(row.decode_bound for row in found) else []),
    ]
    by_key = {row.key: row for row in facts.rows}
    rows = []
    names = {row.row.scenario: f"{short}.{row.label}" for row in facts.rows for short in [groups[row.group]]}
    for row in found:
        figures: list[Cell] = [_number(figure.value(row), figure.words) for figure in shown]
        times = [_latency(by_key.get(f"{row.scenario} {metric}")) for metric in latencies]
        limited = [str(row.decode_bound or "")] if columns[-1].label == "limited by" else []
        rows.append(TableRow([names[row.scenario], *figures[:1], *times, *figures[1:], *limited]))
    return Table("scenarios", columns, rows, facts.file)


def _latency(row: RowFacts | None) -> Cell:
    return NOTHING if row is None else (text_of(row.value, row.row.unit), row.value)


def sessions_table(sessions: Sequence[SessionFacts]) -> Table:
    columns = [Column("session"), Column("started"), Column("machine"), Column("profile"), Column("outcome"),
               Column("gated rows", number=True), Column("commit"), Column("file")]  # fmt: skip
    rows = [_session_row(facts) for facts in sessions]
    return Table("sessions", columns, rows, f"{len(sessions)} session files")


def _session_row(facts: SessionFacts) -> TableRow:
    session = facts.session
    gated = sum(row.gated for row in session.rows)
    commit = str(session.provenance.get("commit", ""))[:10]
    cells: list[Cell] = [session.id, facts.started, session.machine_id, session.profile, str(facts.verdict.outcome)]
    return TableRow([*cells, (str(gated), float(gated)), commit, facts.file])
