"""The HTML page of a sweep: who won and what cannot be told apart, the front, the ranking, the launches, and whence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tokgate import tomltext
from tokgate.gate.verdict import Verdict
from tokgate.report.html.blocks import (
    NOTHING,
    Cell,
    Chart,
    Column,
    Facts,
    Figure,
    Finding,
    Page,
    Section,
    Summary,
    Table,
    TableRow,
    View,
)
from tokgate.report.html.figures.base import metric_name
from tokgate.report.html.publish import made
from tokgate.report.units import duration, text_of
from tokgate.report.words import count
from tokgate.rootcause import in_a_line
from tokgate.sweep.figures import MARKS, distances, launches, pareto
from tokgate.sweep.opening import Bench, software
from tokgate.sweep.outcome import Outcome
from tokgate.sweep.ranking import Entry, Lost, Status
from tokgate.sweep.table import metrics_shown, unit_of
from tokgate.sweep.winner import Winner
from tokgate.sweep.words import behind, groups, reservations, sentence, why, winner_lines

_WHY_LINES = 12


def sweep_page(outcome: Outcome, bench: Bench, winner: Winner | None, folder: str) -> Page:
    """`folder`: where the launches are kept, which every figure is traced to."""
    sections = _sections(outcome, winner, f"{folder}/launches")
    return Page.of_one(
        f"tokgate sweep {outcome.sweep.name}", _summary(outcome, bench, winner, folder), sections, made()
    )


def _summary(outcome: Outcome, bench: Bench, winner: Winner | None, folder: str) -> Summary:
    ranking = outcome.ranking
    told = ([f"{name}: {text}" for name, text in winner_lines(winner)] if winner else [])[:2]
    return Summary(
        tone=str({0: Verdict.PASS, 1: Verdict.REGRESSED}.get(outcome.exit_status, Verdict.INVALID)),
        verdict="SWEEP",
        sentence=sentence(outcome),
        where=f"{bench.device.machine['id']} · {outcome.sweep.path.name} · {outcome.launches} launches, "
        f"{duration(outcome.measured_s)} inside measured rounds",
        findings=[_lost(lost) for lost in ranking.lost],
        notes=[*groups(outcome), *reservations(outcome), *told],
        facts=list(_facts(outcome, bench, winner, folder)),
    )


def _lost(lost: Lost) -> Finding:
    tone = Verdict.INVALID if lost.status in (Status.FAILED, Status.INVALID) else Verdict.INCONCLUSIVE
    lines = lost.why.splitlines()
    more = lines[-_WHY_LINES:] if len(lines) > 1 else []
    told = [in_a_line(lost.why), *([str(lost.failures)] if lost.failures is not None else [])]
    return Finding(str(tone), f"{lost.candidate} {lost.status}", told, more)


def _facts(outcome: Outcome, bench: Bench, winner: Winner | None, folder: str) -> Iterator[Facts]:
    if winner is not None:
        yield Facts("The best setting", list(winner_lines(winner)))
    spec = outcome.sweep.spec
    entries = [
        ("file", str(outcome.sweep.path)),
        ("kept in", folder),
        ("model", f"{bench.opened.source.model_id}: {bench.opened.source.note}"),
        ("row", spec.row),
        ("launches of each", f"{spec.launches} of {count(spec.rounds, 'round')}, in turns"),
        ("objective", outcome.sweep.objective.name),
        *((f"constraint {number}", str(each)) for number, each in enumerate(outcome.sweep.constraints, 1)),
        *((f"setting {name}", tomltext.value(value)) for name, value in spec.settings.items()),
    ]
    yield Facts("Sweep", entries)
    stable = bench.device.machine["stable"]
    yield Facts("Machine", [(name, str(value)) for name, value in stable.items()])
    yield Facts("Software", sorted(software(bench).items()))


def _sections(outcome: Outcome, winner: Winner | None, source: str) -> Iterator[Section]:
    yield Section(
        "front",
        "Throughput against TPOT",
        "Up and to the left is better. The dotted line joins the settings that no other beats in both, by the figures; "
        "in the table (*) marks those that are behind it by less than can be told.",
        _charts([("Throughput against TPOT", pareto(outcome))], source),
    )
    ranked = _charts([("Distance to the best", distances(outcome))], source)
    tables = [_table(outcome, source)] if outcome.ranking.entries or outcome.ranking.lost else []
    yield Section(
        "ranking",
        "Ranking",
        "Settings with a letter in common cannot be told apart. Of all pairs together the chance of any false "
        "difference is 5% (Bonferroni), and an interval that holds zero is a difference not shown. Open a row for its "
        "constraints.",
        [*ranked, *tables],
    )
    dots = launches(outcome) if outcome.ranking.entries else None
    yield Section(
        "launches",
        "Launch by launch",
        "Every launch is a fresh process, and a pass has one of each setting: what the machine did to a whole pass is "
        "taken out of the differences above, and not out of these dots.",
        _charts([("Launches of each setting", dots)], source),
    )
    if winner is not None and winner.command:
        lines = [TableRow([name, text]) for name, text in winner_lines(winner)]
        columns = [Column("the best setting"), Column("as")]
        yield Section("winner", "To use it", "", [Table("winner", columns, lines, source)])


def _charts(figures: Sequence[tuple[str, Figure | None]], source: str) -> list[Chart]:
    return [Chart(title, [View(figure)], source) for title, figure in figures if figure is not None]


def _table(outcome: Outcome, source: str) -> Table:
    shown = metrics_shown(outcome)
    columns = [
        Column("setting"),
        Column("verdict"),
        *(Column(metric_name(metric), number=True) for metric in shown),
        Column("worse than the best", number=True),
        Column("interval", number=True, title="95% for all pairs together"),
        Column("alike", title="settings with a letter in common cannot be told apart"),
        Column("front", title="* no other setting is better in throughput and TPOT; (*) none is surely"),
    ]
    rows = [_row(entry, shown, outcome) for entry in outcome.ranking.entries]
    rows += [
        TableRow([str(lost.candidate), str(lost.status), *[NOTHING] * (len(shown) + 2), "", ""], mark=str(lost.status),
                 why=[*([str(lost.failures)] if lost.failures else []), *lost.why.splitlines()[-_WHY_LINES:]])
        for lost in outcome.ranking.lost
    ]  # fmt: skip
    return Table("settings", columns, rows, source)


def _row(entry: Entry, shown: Sequence[str], outcome: Outcome) -> TableRow:
    candidate = entry.measured.candidate
    values = [_value(entry, metric, outcome.sweep.spec.engine) for metric in shown]
    worse: Cell = NOTHING if entry.behind_pct is None else (f"{entry.behind_pct:+.1f}%", entry.behind_pct)
    ends = entry.interval_pct
    interval: Cell = NOTHING if ends is None else (behind(entry).partition("% ")[2], ends[1] - ends[0])
    cells: list[Cell] = [
        str(candidate), f"{MARKS[entry.status].sign} {entry.status}", *values, worse, interval, entry.letters,
        outcome.front.sign(candidate.number),
    ]  # fmt: skip
    return TableRow(cells, mark=str(entry.status), why=why(entry))


def _value(entry: Entry, metric: str, engine: str) -> Cell:
    level = entry.measured.levels.get(metric)
    return NOTHING if level is None else (text_of(level.value, unit_of(metric, engine)), level.value)
