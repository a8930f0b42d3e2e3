"""Two sessions side by side: inference time and tokens a second over repeated runs, as CPU FP32 and GPU FP16.

Nothing is judged here: two machines differ by more than their software.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tokgate import tomltext
from tokgate.errors import InputError
from tokgate.gate.scale import launch_values
from tokgate.report.html.blocks import (
    NOTHING,
    Cell,
    Chart,
    Charts,
    Column,
    Facts,
    Figure,
    Key,
    Page,
    Section,
    Summary,
    Table,
    TableRow,
    View,
)
from tokgate.report.html.data import RowFacts, SessionFacts, Shape, model_of, short_names
from tokgate.report.html.figures.base import SIGNS
from tokgate.report.html.figures.runs import COLORS, Runs, runs
from tokgate.report.html.summary import provenance
from tokgate.report.units import text_of
from tokgate.scenario import PRECISIONS

_METRICS = {"e2el": "Inference time", "output_throughput": "Tokens a second"}
_SIDES = ("A", "B")
_COMPARED = ("Machine", "Software")


@dataclass(frozen=True)
class Side:
    """One scenario of one session; rows by metric. `name`: without the model where all are of one."""

    scenario: str
    name: str
    shape: Shape | None
    rows: dict[str, RowFacts]

    @property
    def plainness(self) -> tuple[int, int]:
        """FP32 and FP16 without further settings come first: they are what people start from."""
        words = self.name.split(".")
        precision = next((PRECISIONS.index(word) for word in words if word in PRECISIONS), len(PRECISIONS))
        return precision, len(words)


@dataclass(frozen=True)
class Pair:
    a: Side
    b: Side


def pairs(first: SessionFacts, second: SessionFacts) -> list[Pair]:
    """Scenarios of the same id; of the others each with each of the same batch, prompt and answer."""
    left, right = _sides(first), _sides(second)
    same = {side.scenario for side in left} & {side.scenario for side in right}
    by_id = {side.scenario: side for side in right}
    found = [Pair(side, by_id[side.scenario]) for side in left if side.scenario in same]
    found += [
        Pair(a, b)
        for a in left
        for b in right
        if a.scenario not in same and b.scenario not in same and a.shape is not None and a.shape == b.shape
    ]
    return sorted(found, key=lambda pair: (pair.a.plainness, pair.b.plainness))


def compare_page(first: SessionFacts, second: SessionFacts, made: str) -> Page:
    """Raises InputError where the two have no shape in common."""
    found = pairs(first, second)
    if not found:
        raise InputError(
            f"{first.file} and {second.file} have no scenario of the same batch, prompt and output length; the first "
            f"has {_shapes(first)}; the second {_shapes(second)}"
        )
    source = f"A: {first.file}, B: {second.file}"
    charts = [
        Chart(title, views, source)
        for metric, title in _METRICS.items()
        if (views := [View(_runs(pair, metric), (_label(pair),)) for pair in found if _has(pair, metric)])
    ]
    sections = [
        Section(
            "runs",
            "Repeated runs",
            "Each dot is one run, a whole batch from the first prompt to the last token, in the order of the launches; "
            "the dashed line is the value that is judged. Where the two differ by more than tenfold the axis is "
            "logarithmic.",
            [Charts(charts, _legend(first, second), ("rows",))],
        ),
        Section("pairs", "Pair by pair", "Rows that do the same work.", [_table(found, source)]),
        Section(
            "differences",
            "What else differs",
            "Of the machines and of the software: any of it may be why one is faster.",
            [_differences(first, second, source)],
        ),
    ]
    title = f"tokgate: {first.session.machine_id} and {second.session.machine_id}"
    return Page.of_one(title, _summary(first, second, found), sections, made)


def _sides(facts: SessionFacts) -> list[Side]:
    names = short_names(facts.groups)
    found: dict[str, Side] = {}
    for row in facts.rows:
        name = f"{names[row.group]}.{row.label}"
        side = found.setdefault(row.row.scenario, Side(row.row.scenario, name, row.shape, {}))
        side.rows[row.row.metric] = row
    return list(found.values())


def _shapes(facts: SessionFacts) -> str:
    return ", ".join(dict.fromkeys(".".join(row.row.scenario.split(".")[-3:]) for row in facts.rows)) or "no row"


def _label(pair: Pair) -> str:
    shape = _shape(pair.a.scenario)
    if pair.a.scenario == pair.b.scenario:
        return pair.a.name
    return f"{pair.a.name.removesuffix(f'.{shape}')} and {pair.b.name.removesuffix(f'.{shape}')}, {shape}"


def _has(pair: Pair, metric: str) -> bool:
    return metric in pair.a.rows and metric in pair.b.rows


def _runs(pair: Pair, metric: str) -> Figure:
    sides = [
        Runs(f"{mark} {side.name}", side.rows[metric]) for mark, side in zip(_SIDES, (pair.a, pair.b), strict=True)
    ]
    return runs(sides)


def _legend(first: SessionFacts, second: SessionFacts) -> list[Key]:
    return [
        Key(f"{mark}: {facts.session.machine_id}, {facts.started}", color, sign)
        for mark, facts, color, sign in zip(_SIDES, (first, second), COLORS, SIGNS, strict=False)
    ]


def _summary(first: SessionFacts, second: SessionFacts, found: Sequence[Pair]) -> Summary:
    return Summary(
        tone="",
        verdict="COMPARISON",
        sentence=_sentence(found[0], first, second),
        where=f"A: {first.session.machine_id}, {first.file} · B: {second.session.machine_id}, {second.file}",
        notes=list(_notes(first, second)),
        facts=[
            Facts(f"{mark}: {told.title}", told.entries)
            for mark, facts in zip(_SIDES, (first, second), strict=True)
            for told in provenance(facts)
        ],
    )


def _sentence(pair: Pair, first: SessionFacts, second: SessionFacts) -> str:
    """The first pair in words: which of the two is faster, by what factor, if their launches tell them apart."""
    if not _has(pair, "output_throughput"):
        return f"A and B: {_label(pair)}."
    told = zip(_SIDES, (first, second), (pair.a, pair.b), strict=True)
    a, b = [_Named.of(mark, facts, side) for mark, facts, side in told]
    fast, slow = (a, b) if a.value > b.value else (b, a)
    speeds = f"{text_of(fast.value, 'tok/s')} against {text_of(slow.value, 'tok/s')} at {_shape(pair.a.scenario)}"
    if min(fast.launches) <= max(slow.launches):
        return f"{a.name} and {b.name} cannot be told apart by these launches: {speeds}."
    return f"{fast.name} generates {_times(fast.value / slow.value)} as fast as {slow.name}: {speeds}."


@dataclass(frozen=True)
class _Named:
    """One side's throughput in tok/s, of its launches too."""

    name: str
    value: float
    launches: Sequence[float]

    @classmethod
    def of(cls, mark: str, facts: SessionFacts, side: Side) -> _Named:
        row = side.rows["output_throughput"]
        rows = side.name.removesuffix(f".{_shape(side.scenario)}")
        return cls(f"{mark} ({facts.session.machine_id} {rows})", row.value, launch_values(row.row.launches))


def _shape(scenario: str) -> str:
    return ".".join(scenario.split(".")[-3:])


def _notes(first: SessionFacts, second: SessionFacts) -> Iterator[str]:
    yield "A comparison and no verdict: nothing here is held against a baseline."
    for mark, facts in zip(_SIDES, (first, second), strict=True):
        if facts.verdict.reasons:
            yield f"{mark} is not valid: {facts.verdict.reasons[0]}"
        if facts.session.given:
            yield f"{mark} was measured with {tomltext.pairs(facts.session.given)}, which its rows' ids do not say"
    models = {model_of(row.group) for facts in (first, second) for row in facts.rows}
    if len(models) > 1:
        yield f"The models differ: {', '.join(sorted(models))}."


def _table(found: Sequence[Pair], source: str) -> Table:
    columns = [
        Column("A"), Column("B"), Column("A time", number=True), Column("B time", number=True),
        Column("A tok/s", number=True), Column("B tok/s", number=True),
        Column("B over A", number=True, title="tokens a second of B over those of A"),
    ]  # fmt: skip
    return Table("pairs", columns, [_line(pair) for pair in found], source)


def _line(pair: Pair) -> TableRow:
    cells: list[Cell] = [pair.a.name, pair.b.name]
    for metric in _METRICS:
        cells += [_cell(side.rows.get(metric)) for side in (pair.a, pair.b)]
    if _has(pair, "output_throughput"):
        ratio = pair.b.rows["output_throughput"].value / pair.a.rows["output_throughput"].value
        return TableRow([*cells, (_times(ratio), ratio)])
    return TableRow([*cells, ("", None)])


def _differences(first: SessionFacts, second: SessionFacts, source: str) -> Table:
    """Facts that both tell and tell differently, and what one of them alone has."""
    columns = [Column("what"), Column("A"), Column("B")]
    sides = [dict(_facts(facts)) for facts in (first, second)]
    names = dict.fromkeys(name for side in sides for name in side)
    values = [(name, [side.get(name, "") for side in sides]) for name in names]
    return Table("differences", columns, [TableRow([name, a, b]) for name, (a, b) in values if a != b], source)


def _facts(facts: SessionFacts) -> Iterator[tuple[str, str]]:
    yield from (entry for told in provenance(facts) if told.title in _COMPARED for entry in told.entries)


def _cell(row: RowFacts | None) -> Cell:
    return NOTHING if row is None else (text_of(row.value, row.row.unit), row.value)


def _times(ratio: float) -> str:
    return f"{ratio:.0f}x" if ratio >= 10 else f"{ratio:.2f}x"
