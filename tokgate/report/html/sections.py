"""A session's part of the page: its first screen, and below it the sections with figures and tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tokgate.gate.verdict import Verdict
from tokgate.report.html.blocks import Chart, Charts, Part, Section, View
from tokgate.report.html.data import RowFacts, SessionFacts, short_names
from tokgate.report.html.figures.base import metric_name
from tokgate.report.html.figures.forest import forest
from tokgate.report.html.figures.roofline import roofline
from tokgate.report.html.figures.scaling import AT_ONCE, METRICS, curves, legend, scaling
from tokgate.report.html.figures.spread import distribution, noise
from tokgate.report.html.figures.telemetry import telemetry
from tokgate.report.html.summary import summary
from tokgate.report.html.tables import rows_table, scenarios_table

# More lanes than this are shown a group at a time.
_MOST_LANES = 60
_ALL = "all"
_LATENCIES = ("ttft", "tpot", "e2el", "itl", "queue_time", "due_ttft")
_NOISY = ("output_throughput", "ttft", "tpot", "e2el", "cpu_time_per_token")


def session_part(facts: SessionFacts) -> Part:
    """Sections that have nothing to show are left out."""
    sections = [section for section in _sections(facts) if section.blocks] if facts.rows or facts.rounds else []
    label = f"{facts.started} · {facts.session.machine_id} · {facts.session.profile} · {facts.verdict.outcome}"
    return Part(label, summary(facts), sections)


def _sections(facts: SessionFacts) -> Iterator[Section]:
    yield Section(
        "rows",
        "Rows against their baselines",
        "Each gated row's change with the interval that its verdict used. Right of zero is slower, for a throughput as "
        "for a latency. Open a row of the table for its launches, session by session, and for the reasons.",
        [*_forest(facts), *([rows_table(facts)] if facts.rows else [])],
    )
    yield Section(
        "noise",
        "Launch by launch",
        "Every launch is a fresh process. Large signs are launches, small ones their rounds, placed by how far they "
        "are from the row's own value; right is slower.",
        _noise(facts),
    )
    yield Section(
        "latency", "Latency", "Every round as it was measured, and the value that is judged.", _latencies(facts)
    )
    yield Section(
        "scaling",
        "Throughput and its price",
        "More sequences at once give more tokens a second, and each of them waits longer.",
        list(_scaling(facts)),
    )
    yield Section(
        "roofline",
        "Roofline",
        "What each step must compute and read at least, against what this machine reached when it did nothing else. A "
        "point on the line is as fast as the machine allows; the flat part is of one precision, others may pass it.",
        _roofline(facts),
    )
    yield Section(
        "scenarios",
        "Beside the speed",
        "Memory, energy, cache and CPU time of each scenario.",
        [scenarios_table(facts)] if facts.rows else [],
    )
    yield Section(
        "telemetry",
        "The machine while it was measured",
        "Round by round, in the order they were run; dotted lines stand where a new launch begins. A cross is a round "
        "that was disturbed and is in no figure.",
        _telemetry(facts),
    )


def _forest(facts: SessionFacts) -> list[Chart]:
    gated = [row for row in facts.rows if row.row.gated]
    lots = list(_lots(gated))
    open_rows = [row for row in gated if row.verdict != Verdict.PASS]
    if len(gated) > _MOST_LANES and open_rows:
        lots.insert(0, ("all but PASS", open_rows))
    views = [View(figure, (label,)) for label, rows in lots if (figure := forest(rows)) is not None]
    return [_chart("Change against the baseline", views, facts, ("rows",))] if views else []


def _lots(rows: Sequence[RowFacts]) -> Iterator[tuple[str, list[RowFacts]]]:
    """Rows by group where all of them are too many for one figure."""
    names = short_names(row.group for row in rows)
    if len(rows) <= _MOST_LANES:
        yield _ALL, list(rows)
    if len(names) > 1:
        for group, name in names.items():
            yield name, [row for row in rows if row.group == group]
    elif len(rows) > _MOST_LANES:
        yield _ALL, list(rows)


def _noise(facts: SessionFacts) -> list[Chart]:
    views = [
        View(noise(lot), (metric_name(metric), label))
        for metric in _NOISY
        if (rows := facts.of_metric(metric))
        for label, lot in _lots(rows)
        if lot
    ]
    return [_chart("Launches of each row", views, facts, ("metric", "rows"))] if views else []


def _latencies(facts: SessionFacts) -> list[Chart]:
    views = [
        View(distribution(lot, _tails(facts, metric, lot)), (metric_name(metric), label))
        for metric in _LATENCIES
        if (rows := facts.of_metric(metric))
        for label, lot in _lots(rows)
        if lot
    ]
    return [_chart("Distribution over rounds", views, facts, ("metric", "rows"))] if views else []


def _tails(facts: SessionFacts, metric: str, rows: Sequence[RowFacts]) -> list[RowFacts]:
    scenarios = {row.row.scenario for row in rows}
    return [row for row in facts.of_metric(f"p99_{metric}") if row.row.scenario in scenarios]


def _scaling(facts: SessionFacts) -> Iterator[Charts]:
    for by, word in AT_ONCE.items():
        found = curves(facts.rows, by)
        if found:
            charts = [
                _chart(f"{metric_name(metric)} against {word}", [View(scaling(facts.rows, found, by, metric))], facts)
                for metric in METRICS
                if facts.of_metric(metric)
            ]
            yield Charts(charts, legend(found))


def _roofline(facts: SessionFacts) -> list[Chart]:
    drawn = roofline(facts)
    return [] if drawn is None else [_chart("Arithmetic against bytes", [View(drawn)], facts)]


def _telemetry(facts: SessionFacts) -> list[Chart]:
    names = short_names(told.group for told in facts.rounds)
    views = [
        View(drawn, (name,))
        for group, name in names.items()
        if (drawn := telemetry([told for told in facts.rounds if told.group == group])) is not None
    ]
    return [_chart("Use of the machine", views, facts, ("group",))] if views else []


def _chart(title: str, views: Sequence[View], facts: SessionFacts, selects: tuple[str, ...] = ()) -> Chart:
    return Chart(title, views, facts.file, selects=selects if len(views) > 1 else ())
