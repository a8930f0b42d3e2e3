"""The history of a row over a machine's sessions: those accepted, and those at hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tokgate.gate.history import Baselines
from tokgate.gate.scale import launch_values
from tokgate.report.html.blocks import Chart, View
from tokgate.report.html.data import SessionFacts
from tokgate.report.html.figures.base import metric_name
from tokgate.report.html.figures.history import Night, history
from tokgate.session import Row


def nights_of(rows: Iterable[tuple[SessionFacts, Row]], profile: str, baselines: Baselines) -> list[Night]:
    """Of one row, by time; a session that is at hand and accepted too stands there once, as accepted."""
    found: dict[str, Night] = {}
    scenario, metric = "", ""
    for facts, row in rows:
        scenario, metric = row.key
        standing = "measured" if facts.session.valid else "invalid"
        values = tuple(launch_values(row.launches))
        found[facts.session.id] = Night(facts.session.id, facts.session.started, standing, values)
    for entry in baselines.scenarios.get(scenario, ()):
        stored = entry.rows.get(metric)
        if stored is not None and entry.profile == profile:
            found[entry.id] = Night(entry.id, entry.started, "accepted", tuple(stored.launches))
    return sorted(found.values(), key=lambda night: (night.started, night.session))


def row_charts(sessions: Iterable[SessionFacts]) -> dict[str, Chart]:
    """By the key of a table's row: its history over `sessions` and what their machines' baselines hold."""
    alike: dict[str, list[tuple[SessionFacts, Row]]] = {}
    for facts in sessions:
        for row in facts.rows:
            alike.setdefault(detail_key(facts, row.key), []).append((facts, row.row))
    return {key: _chart(rows) for key, rows in alike.items()}


def _chart(rows: list[tuple[SessionFacts, Row]]) -> Chart:
    facts, row = rows[-1]
    drawn = history(nights_of(rows, facts.session.profile, facts.baselines), row.unit, row.better)
    title = f"{row.scenario} {metric_name(row.metric)}: launches by session"
    return Chart(title, [View(drawn)], sources([facts.file for facts, _ in rows]))


def detail_key(facts: SessionFacts, row_key: str) -> str:
    return f"{facts.session.machine_id} {facts.session.profile} {row_key}"


def sources(files: Sequence[str]) -> str:
    """The files' names, the last one and how many others where they are many."""
    names = list(dict.fromkeys(files))
    return ", ".join(names) if len(names) <= 2 else f"{names[-1]} and {len(names) - 1} more session files"
