"""Trends: every row of a machine over all its sessions, accepted and saved, with changes of software on the time axis.

Information, never the gate: sessions of many nights are drawn beside each other, and none is judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tokgate.errors import InputError
from tokgate.gate.history import Baselines
from tokgate.gate.scale import session_value
from tokgate.report.html.blocks import Cell, Chart, Column, Page, Section, Summary, Table, TableRow, View
from tokgate.report.html.data import model_of, short_names
from tokgate.report.html.figures.base import metric_name
from tokgate.report.html.figures.history import Night, history
from tokgate.report.html.figures.trend import Line, Mark, overview, trend
from tokgate.report.html.nights import sources
from tokgate.report.html.timeline import Change, Kind, Seen, collect, software_changes
from tokgate.report.units import text_of
from tokgate.report.words import count
from tokgate.session import Session

_METRICS = ("output_throughput", "ttft", "tpot", "e2el")
_MOST_LINES = 8
_LONGEST = 24


def trends_page(machine: str, sessions: Sequence[tuple[Session, str]], baselines: Baselines, made: str) -> Page:
    """`sessions`: those at hand of `machine`, with their files' names. Raises InputError where there is nothing."""
    timeline = collect(sessions, baselines)
    seen, kinds = timeline.seen, timeline.kinds
    if not kinds:
        raise InputError(
            f"no session of {machine} has any row, accepted or saved: measure, or name the folders with --sessions and "
            "--baselines"
        )
    changes = software_changes(seen)
    source = f"{count(len(seen), 'session')} of {machine}"
    sections = [
        Section(
            "overview",
            "All rows together",
            "The mean of all rows of a profile, each against its own median over time; up is worse. Numbered "
            "lines: software changed there; the table below says what.",
            [*_overview(seen, kinds, changes, source), _changes_table(changes, source)],
        ),
        Section(
            "rows",
            "Row by row",
            "Each row against its own median, up is worse. Hollow signs are sessions that are not valid.",
            _charts(seen, kinds, changes, source),
        ),
        Section(
            "table",
            "Figures",
            "The newest session's value, and the span of all valid ones. Open a row for its launches.",
            [_table(seen, kinds, source)],
        ),
        Section(
            "sessions", "Sessions", "All that are drawn above, and where each is kept.", [_sessions_table(seen, source)]
        ),
    ]
    summary = _summary(machine, seen, changes)
    return Page.of_one(f"tokgate: trends of {machine}", summary, sections, made, details=_details(seen, kinds))


def _summary(machine: str, seen: Sequence[Seen], changes: Sequence[Change]) -> Summary:
    accepted = sum(session.standing == "accepted" for session in seen)
    invalid = sum(session.standing == "invalid" for session in seen)
    changed = len({change.session for change in changes})
    told = f"software changed before {changed} of them" if changes else "software never changed"
    return Summary(
        tone="",
        verdict="TRENDS",
        sentence=f"{count(len(seen), 'session')} of {machine}: {accepted} accepted, {invalid} not valid; {told}.",
        where=f"{seen[0].started[:10]} to {seen[-1].started[:10]}",
        notes=["Information, never the gate: nothing on this page is judged. tokgate judge says what regressed."],
    )


def _marks(changes: Sequence[Change], profile: str) -> list[Mark]:
    """Of one profile's sessions, with the numbers that the table gives them."""
    return [
        Mark(
            number,
            found[0].started,
            [f"{change.name} {_short(change.before)} → {_short(change.now)}" for change in found],
        )
        for number, found in _numbered(changes)
        if found[0].profile == profile
    ]


def _numbered(changes: Sequence[Change]) -> Iterator[tuple[int, list[Change]]]:
    """What changed from one session to the next, together, from 1 on."""
    by_session: dict[str, list[Change]] = {}
    for change in changes:
        by_session.setdefault(change.session, []).append(change)
    yield from enumerate(by_session.values(), 1)


def _short(version: str) -> str:
    """Of a checksum what tells it from others."""
    return version if len(version) <= _LONGEST else f"{version[: _LONGEST - 1]}…"


def _lines(
    seen: Sequence[Seen], kinds: Mapping[tuple[str, str], Kind], profile: str, metric: str
) -> Iterator[tuple[str, Line]]:
    """(group, line) of each scenario."""
    for key, kind in kinds.items():
        if key[1] != metric:
            continue
        nights = [
            (session, session_value([[value] for value in session.rows[key]], kind.better))
            for session in seen
            if session.profile == profile and session.rows.get(key)
        ]
        if nights:
            label = key[0].removeprefix(f"{kind.group}.")
            yield (
                kind.group,
                Line.of(label, kind.better, kind.unit, [(s.started, s.id, s.standing, v) for s, v in nights]),
            )


def _profiles(seen: Sequence[Seen]) -> list[str]:
    """The one with the most sessions first."""
    counts: dict[str, int] = {}
    for session in seen:
        counts[session.profile] = counts.get(session.profile, 0) + bool(session.rows)
    return sorted((profile for profile, count in counts.items() if count), key=lambda profile: -counts[profile])


def _charts(
    seen: Sequence[Seen], kinds: Mapping[tuple[str, str], Kind], changes: Sequence[Change], source: str
) -> list[Chart]:
    names = short_names(kind.group for kind in kinds.values())
    views = []
    for profile in _profiles(seen):
        for metric in _METRICS:
            by_group: dict[str, list[Line]] = {}
            for group, line in _lines(seen, kinds, profile, metric):
                by_group.setdefault(group, []).append(line)
            for group, lines in by_group.items():
                for label, lot in _lots(names[group], lines):
                    views.append(View(trend(lot, _marks(changes, profile)), (profile, metric_name(metric), label)))
    return [Chart("Rows over time", views, source, selects=("profile", "metric", "rows"))] if views else []


def _lots(name: str, lines: list[Line]) -> Iterator[tuple[str, list[Line]]]:
    """As many lines as can be told apart."""
    for start in range(0, len(lines), _MOST_LINES):
        more = f" ({start // _MOST_LINES + 1})" if len(lines) > _MOST_LINES else ""
        yield f"{name}{more}", lines[start : start + _MOST_LINES]


def _overview(
    seen: Sequence[Seen], kinds: Mapping[tuple[str, str], Kind], changes: Sequence[Change], source: str
) -> list[Chart]:
    views = []
    for profile in _profiles(seen):
        lines = {metric_name(metric): [line for _, line in _lines(seen, kinds, profile, metric)] for metric in _METRICS}
        views.append(
            View(
                overview({name: found for name, found in lines.items() if found}, _marks(changes, profile)), (profile,)
            )
        )
    return [Chart("Mean of all rows", views, source, selects=("profile",))] if views else []


def _changes_table(changes: Sequence[Change], source: str) -> Table:
    columns = [Column("mark", number=True), Column("from"), Column("what"), Column("before"), Column("now"),
               Column("first seen in")]  # fmt: skip
    rows = [
        TableRow([(str(number), float(number)), _minute(one.started), one.name, _short(one.before), _short(one.now),
                  one.session])
        for number, found in _numbered(changes)
        for one in found
    ]  # fmt: skip
    return Table("software changes", columns, rows[::-1], source)


def _sessions_table(seen: Sequence[Seen], source: str) -> Table:
    columns = [Column("started"), Column("session"), Column("profile"), Column("standing"), Column("file")]
    rows = [TableRow([_minute(one.started), one.id, one.profile, one.standing, one.file]) for one in reversed(seen)]
    return Table("sessions", columns, rows, source)


def _table(seen: Sequence[Seen], kinds: Mapping[tuple[str, str], Kind], source: str) -> Table:
    columns = [
        Column("row"), Column("metric"), Column("sessions", number=True), Column("newest", number=True),
        Column("of"), Column("best", number=True), Column("worst", number=True), Column("span", number=True),
    ]  # fmt: skip
    model = _shared_model(kinds)
    rows = [_line(seen, key, kind, model) for key, kind in kinds.items()]
    return Table("trends", columns, [row for row in rows if row is not None], source)


def _line(seen: Sequence[Seen], key: tuple[str, str], kind: Kind, model: str) -> TableRow | None:
    nights = [session for session in seen if session.rows.get(key) and session.standing != "invalid"]
    if not nights:
        return None
    values = [session_value([[value] for value in session.rows[key]], kind.better) for session in nights]
    best, worst = (max(values), min(values)) if kind.better == "higher" else (min(values), max(values))
    span_pct = 100 * (max(values) / min(values) - 1)
    cells: list[Cell] = [
        key[0].removeprefix(model),
        metric_name(key[1]),
        (str(len(nights)), float(len(nights))),
        *((text_of(value, kind.unit), value) for value in values[-1:]),
        _minute(nights[-1].started),
        *((text_of(value, kind.unit), value) for value in (best, worst)),
        (f"{span_pct:.1f}%", span_pct),
    ]
    return TableRow(cells, detail=_detail(key))


def _details(seen: Sequence[Seen], kinds: Mapping[tuple[str, str], Kind]) -> dict[str, Chart]:
    charts = {}
    for key, kind in kinds.items():
        known = [session for session in seen if session.rows.get(key)]
        nights = [Night(session.id, session.started, session.standing, session.rows[key]) for session in known]
        drawn = history(nights, kind.unit, kind.better)
        title = f"{key[0]} {metric_name(key[1])}: launches by session"
        charts[_detail(key)] = Chart(title, [View(drawn)], sources([session.file for session in known]))
    return charts


def _detail(key: tuple[str, str]) -> str:
    return " ".join(key)


def _shared_model(kinds: Iterable[Any]) -> str:
    models = {model_of(scenario) for scenario, _ in kinds}
    return f"{models.pop()}." if len(models) == 1 else ""


def _minute(started: str) -> str:
    return started.replace("T", " ")[:16]
