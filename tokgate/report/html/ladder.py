"""The page of an optimisation ladder: each step's effect on throughput, latency, memory and accuracy."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tokgate.gate.change import Change
from tokgate.report.html.blocks import (
    NOTHING,
    Cell,
    Chart,
    Charts,
    Column,
    Figure,
    Finding,
    Page,
    Section,
    Summary,
    Table,
    TableRow,
    View,
)
from tokgate.report.html.figures.ladder import changes, values
from tokgate.report.ladder import METRICS, Climb, Rung
from tokgate.report.ladder_table import agreement, bounds, factor, told
from tokgate.report.units import text_of
from tokgate.report.words import count


def ladder_page(climb: Climb, files: Mapping[str, str], made: str) -> Page:
    """`files`: the file of each session, by its id."""
    source = ", ".join(dict.fromkeys(files[rung.session] for rung in climb.rungs if rung.session))
    sections = [
        Section(
            "steps",
            "Step by step",
            "What each step gave, and by what factor it changed, with the 95% interval by launches: 2x is twice the "
            "tokens a second, or half the time or memory. Left of the line is worse.",
            [_charts(climb, source)],
        ),
        Section("figures", "Figures", "Open a row for what the step changes and where it was measured.",
                [_table(climb, files, source)]),
    ]  # fmt: skip
    return Page.of_one(f"tokgate: {climb.title}", _summary(climb), sections, made)


def _summary(climb: Climb) -> Summary:
    return Summary(
        tone="",
        verdict="LADDER",
        sentence=_sentence(climb),
        where=f"{climb.machine} · {climb.model}",
        findings=[
            Finding(rung.standing, rung.step.name, list(rung.why))
            for rung in climb.rungs
            if rung.standing != "measured"
        ],
        notes=["Measured effects and no verdict: nothing here is held against a baseline.", *climb.notes],
    )  # fmt: skip


def _sentence(climb: Climb) -> str:
    """How far up it goes, by tokens a second."""
    measured = [rung for rung in climb.rungs if rung.standing == "measured"]
    told_of = f"{len(measured)} of {count(len(climb.rungs), 'step')} measured"
    climbed = [(rung, change) for rung in measured if (change := rung.first.get("tok/s")) is not None]
    if not climbed:
        return f"{climb.title}: {told_of}."
    best, change = max(climbed, key=lambda entry: entry[1].factor)
    first = climb.rungs[0].step.name
    return f"{climb.title}: {best.step.name} makes {factor(change)} the tokens a second of {first}; {told_of}."


def _charts(climb: Climb, source: str) -> Charts:
    columns = [column for column in METRICS if any(column in rung.rows for rung in climb.rungs)]

    def chart(title: str, draw: Callable[[str], Figure]) -> Chart:
        return Chart(title, [View(draw(column), (column,)) for column in columns], source)

    charts = [
        chart("What each step gave", lambda column: values(climb, column)),
        chart("Against the step before", lambda column: changes(climb, column, before=True)),
        chart("Against the first step", lambda column: changes(climb, column, before=False)),
    ]
    return Charts(charts, selects=("metric",))


def _table(climb: Climb, files: Mapping[str, str], source: str) -> Table:
    columns = [Column("#", number=True), Column("step"), Column("standing")]
    for column in METRICS:
        columns += [Column(column, number=True),
                    Column(f"{column} by", number=True, title="against the step before; 95% interval by launches"),
                    Column(f"{column} in all", number=True, title="against the first step")]  # fmt: skip
    columns += [Column("top-1", number=True, title="share of greedy tokens that are those of the FP32 reference"),
                Column("logits apart", number=True, title="relative RMS distance from the reference's")]  # fmt: skip
    return Table("steps", columns, [_line(number, rung, files) for number, rung in enumerate(climb.rungs, 1)], source)


def _line(number: int, rung: Rung, files: Mapping[str, str]) -> TableRow:
    cells: list[Cell] = [(str(number), float(number)), rung.step.name, rung.standing]
    for column in METRICS:
        value = rung.value(column)
        cells += [NOTHING if value is None else (text_of(value, rung.rows[column].unit), value),
                  _by(rung.before.get(column)), _by(rung.first.get(column))]  # fmt: skip
    if (found := rung.accuracy) is None:
        cells += [NOTHING, NOTHING]
    else:
        cells += [(agreement(rung), found.top1_agreement), (f"{found.logit_distance:.1e}", found.logit_distance)]
    where = [f"measured in {files[rung.session]}"] if rung.standing == "measured" else []
    return TableRow(cells, why=[f"{rung.step.row}: {rung.step.what}", *where, *told(rung)])


def _by(change: Change | None) -> Cell:
    if change is None:
        return NOTHING
    interval = f" [{bounds(change)}]" if change.interval else ""
    return f"{factor(change)}{interval}", change.factor
