"""The ranking in the terminal. 80 columns suffice: a label that is too long stands below its line."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from tokgate.metrics import metrics_of
from tokgate.report.html.figures.base import metric_name
from tokgate.report.units import text_of
from tokgate.rootcause import in_a_line
from tokgate.sweep.candidates import Opened
from tokgate.sweep.constraints import Holds
from tokgate.sweep.outcome import Outcome
from tokgate.sweep.ranking import Entry, Lost, Status
from tokgate.sweep.winner import Winner
from tokgate.sweep.words import behind, broken, groups, reservations, sentence, winner_lines

STYLES = {
    Status.BEST: "bold green",
    Status.LEVEL: "green",
    Status.OPEN: "yellow",
    Status.BREAKS: "bold red",
    Status.INVALID: "bold red",
    Status.FAILED: "bold red",
}
_LEAST_METRICS = ("output_throughput", "ttft", "tpot")
_WIDTH = 100


def print_outcome(outcome: Outcome, opened: Opened, machine_id: str, winner: Winner | None) -> None:
    """Prints to standard output."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)
    group = opened.candidates[0].scenario.group
    spec = outcome.sweep.spec
    heading = f"sweep {outcome.sweep.name}: {group.model}.{group.engine} on {machine_id}, {spec.row}"
    console.print(Text(heading, style="bold"))
    for line in _lines(outcome, console.width) if outcome.ranking.entries else ():
        console.print(line)
    for lost in outcome.ranking.lost:
        console.print(_lost(lost))
    console.print(Text(sentence(outcome), style="bold"))
    for text in [*groups(outcome), *reservations(outcome), *_legend(outcome)]:
        console.print(Text(text))
    if winner is not None:
        for name, told in winner_lines(winner):
            # Not through the console, which would break a command into lines.
            print(f"{name}: {told}")


def metrics_shown(outcome: Outcome) -> list[str]:
    """Throughput, TTFT and TPOT, the objective, and what a constraint is on; of these what was measured."""
    wanted = [outcome.sweep.objective.name, *_LEAST_METRICS, *(each.metric.name for each in outcome.sweep.constraints)]
    measured = {metric for each in outcome.measured for metric in each.levels}
    return [metric for metric in dict.fromkeys(wanted) if metric in measured]


def _lines(outcome: Outcome, width: int) -> Iterator[Text]:
    """The table, line by line: rich's own cannot hold a line below another over its whole width."""
    engine = outcome.sweep.spec.engine
    shown = [metric for metric in metrics_shown(outcome) if metric in (outcome.sweep.objective.name, *_LEAST_METRICS)]
    rows = [["", *(metric_name(metric) for metric in shown), "worse than the best", "", "", "setting"]]
    for entry in outcome.ranking.entries:
        candidate = entry.measured.candidate
        values = [_value(entry, metric, engine) for metric in shown]
        status = f"{entry.status} {outcome.front.sign(candidate.number)}".strip()
        rows.append([f"#{candidate.number}", *values, behind(entry), entry.letters, status, candidate.label])
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    below = sum(widths) + len(widths) - 1 > width
    lead = " " * (widths[0] + 1)
    for place, row in enumerate(rows):
        *cells, status, label = [
            cell.rjust(size) if index <= len(shown) else cell.ljust(size)
            for index, (cell, size) in enumerate(zip(row, widths, strict=True))
        ]
        if place == 0:
            yield Text(" ".join([*cells, status, *([] if below else [label])]).rstrip(), style="dim")
            continue
        found = outcome.ranking.entries[place - 1]
        style = STYLES.get(found.status, "")
        yield Text.assemble(" ".join(cells), " ", (status, style), "" if below else f" {label.rstrip()}")
        if below:
            yield Text(f"{lead}{row[-1]}", style="dim")
        if found.measured.holds is Holds.BROKEN:
            yield Text(f"{lead}{broken(found)}", style="dim")


def _value(entry: Entry, metric: str, engine: str) -> str:
    level = entry.measured.levels.get(metric)
    return "" if level is None else text_of(level.value, unit_of(metric, engine)).removesuffix(" tok/s")


def unit_of(metric: str, engine: str) -> str:
    return next(each.unit for each in metrics_of(engine) if each.name == metric)


def _lost(lost: Lost) -> Text:
    return Text.assemble((str(lost.status), STYLES.get(lost.status, "dim")), f" {lost.name}: {in_a_line(lost.why)}")


def _legend(outcome: Outcome) -> Iterator[str]:
    if outcome.front.on:
        perhaps = ", (*) perhaps" if outcome.front.perhaps else ""
        yield f"* on the front of throughput and TPOT: no other is better in both{perhaps}"
