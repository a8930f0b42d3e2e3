"""The table that `tokgate prove` prints, the claims under it, and the same as data. 100 columns suffice."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tokgate.prove.claims import CHANCE, Finding
from tokgate.prove.rates import Rate
from tokgate.prove.replay import Detectable, Injection
from tokgate.prove.rivals import NIGHT_LEVEL
from tokgate.prove.simulation import Result
from tokgate.prove.trial import COLUMNS, TOKGATE, Column

WIDTH = 100
_HEADS: dict[Column, str] = {
    "stored5": "tokgate\n5 sessions",
    "stored10": "tokgate\n10 sessions",
    "paired": "tokgate\n12 pairs",
    "median": "compare-fail\nmedian:5%",
    "mannwhitney": "Mann-Whitney\niterations",
    "welch": "Welch\nlaunches",
}
_CAPTION = (
    "Percent of nights, with 95% Clopper-Pearson bounds. `1 row ... slower`, `more tokens`: nights on which that row "
    "was caught and the build failed; every other line: red nights, of which those of `unchanged`, `... faster` and "
    "`SD x2` are false. A slowdown is of time: 5% slower takes 1.05 times as long. Every night has accepted sessions "
    "of its own, drawn anew. tokgate is judged in one stage, as `tokgate judge` does: fresh launches could only take "
    "alarms back. The others compare with the newest accepted session; the two tests have the level "
    f"{NIGHT_LEVEL:g} a night, split over the rows as tokgate splits its own."
)


def console() -> Console:
    """Standard output: with colours on a terminal, else plain; never wider than 100 columns."""
    wide = Console(highlight=False)
    return Console(highlight=False, width=min(wide.width, WIDTH) if sys.stdout.isatty() else WIDTH)


def print_results(results: Sequence[Result], to: Console) -> None:
    """A section a noise, a line a situation."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), show_header=True)
    table.add_column("", no_wrap=True)
    for column in COLUMNS:
        table.add_column(_HEADS[column], justify="right", no_wrap=True)
    sections = [list(found) for _, found in itertools.groupby(results, key=lambda result: result.situation.heading)]
    for number, section in enumerate(sections):
        nights = next(iter(section[0].rates.values())).nights
        # The heading is wider than its column: printed as a table of its own it would not align, so it is a mark.
        table.add_row(Text(f"[{number + 1}] {nights:,} nights", style="bold"))
        for result in section:
            table.add_row(result.situation.label, *(cell(result.rates.get(column)) for column in COLUMNS))
    to.print(table)
    for number, section in enumerate(sections):
        to.print(f"[{number + 1}] {section[0].situation.heading}", markup=False)
    to.print(_CAPTION, style="dim", markup=False)


def print_detectable(rows: Sequence[Detectable], to: Console) -> None:
    """First of all what a recording's machine lets the gate see."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("minimum detectable change (80% power), percent", no_wrap=True)
    for column in TOKGATE:
        table.add_column(_HEADS[column], justify="right")
    for row in rows:
        scenario, metric = row.key
        table.add_row(
            f"{_short(scenario)} {metric}", *(f"{row.mde_pct.get(column, math.nan):.1f}" for column in TOKGATE)
        )
    to.print(table)
    to.print()


def print_injections(injections: Sequence[Injection], to: Console) -> None:
    """What the inflated launches were: the truth that the table below is held against."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for head in ("more tokens to make", "row", "launches", "longer by its TPOT", "longer as measured"):
        table.add_column(head, justify="left" if head == "row" else "right")
    for one in injections:
        table.add_row(
            f"{100 * one.inflate:g}%",
            _short(one.scenario),
            str(one.launches),
            f"{one.expected_pct:.1f}%",
            f"{one.measured_pct:+.1f}%",
        )
    to.print(table)
    to.print(
        "The injected metrics are output_throughput and tpot: more tokens do not touch TTFT. No claim is held "
        "against a replay: all its nights come from the same few launches, and the bounds below know of the drawing "
        "alone.\n",
        style="dim",
        markup=False,
    )


def print_findings(found: Iterable[Finding], to: Console) -> None:
    """Each claim with what was found. A broken one is told in words."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for head in ("claim", "promised", "found", ""):
        table.add_column(head, no_wrap=True)
    for finding in found:
        claim = finding.claim
        promised = f"{'at least' if claim.at_least else 'at most'} {100 * claim.share:g}%"
        mark = Text("BROKEN", style="bold red") if finding.broken else Text("holds", style="green")
        head = _HEADS[claim.column].replace("\n", ", ")
        table.add_row(f"{claim.situation}, {head}", promised, cell(finding.rate), mark)
    to.print(table)
    to.print(
        "BROKEN: the bounds lie wholly on the wrong side. A claim that is kept with nothing to spare is called "
        f"broken by chance in at most {100 * CHANCE:.3g}% of seeds; the default seed is fixed.",
        style="dim",
        markup=False,
    )


def _short(scenario: str) -> str:
    """The part of an id that tells the rows of one group apart: b8.p5.o100."""
    return ".".join(scenario.split(".")[-3:])


def cell(rate: Rate | None) -> str:
    """`0.3 (0.1-0.9)` in percent; from 10 on whole percents, the bounds rounded outward."""
    if rate is None:
        return ""
    return f"{_percent(rate.share, round)} ({_percent(rate.low, math.floor)}-{_percent(rate.high, math.ceil)})"


def _percent(share: float, whole: Any) -> str:
    digits = 1 if share < 0.0995 else 0
    scale = 10**digits
    # 12 digits: 0.001 * 1000 must not be rounded up for its last bit.
    return f"{whole(round(100 * share * scale, 12)) / scale:.{digits}f}".replace("0.0", "0")


def to_json(results: Sequence[Result], found: Sequence[Finding], seed: int) -> dict[str, Any]:
    """What `tokgate prove --json` prints."""
    return {
        "seed": seed,
        "situations": [
            {
                "id": result.situation.id,
                "noise": result.situation.heading,
                "effect": result.situation.label,
                "pairs": result.situation.pairing,
                "rates": {column: _as_data(rate) for column, rate in result.rates.items()},
            }
            for result in results
        ],
        "claims": [{"claim": str(one.claim), **_as_data(one.rate), "broken": one.broken} for one in found],
    }


def _as_data(rate: Rate) -> dict[str, float]:
    return {"count": rate.count, "nights": rate.nights, "rate": rate.share, "low": rate.low, "high": rate.high}
