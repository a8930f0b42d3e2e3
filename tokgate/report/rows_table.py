"""A session's scenarios as one table a group: throughput, TTFT, TPOT, the change with its bar, the verdict.

Columns are as wide as what stands in them, alike in all groups, and the bar takes what is left of the terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import JustifyMethod
from rich.table import Table
from rich.text import Text

from tokgate.gate.scale import interval_text, signed_text
from tokgate.gate.verdict import RowVerdict, SessionVerdict, Verdict
from tokgate.report.bar import BOX, LEAST_WIDTH, MOST_WIDTH, Signs, bar, scale, scale_pct
from tokgate.report.figures import scenarios_by_group, typical
from tokgate.report.units import digits_apart, text_of
from tokgate.session import Row, Session

STYLES = {
    Verdict.REGRESSED: "bold red",
    Verdict.INVALID: "bold red",
    Verdict.PASS: "green",
    Verdict.IMPROVED: "bold green",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.NO_BASELINE: "yellow",
    Verdict.DRIFT: "yellow",
}
_SEVERITY = (
    Verdict.INVALID,
    Verdict.REGRESSED,
    Verdict.NO_BASELINE,
    Verdict.INCONCLUSIVE,
    Verdict.DRIFT,
    Verdict.IMPROVED,
    Verdict.PASS,
)
_VALUES = {"output_throughput": "tok/s", "ttft": "TTFT", "tpot": "TPOT"}
_CHANGE, _VERDICT = "worse by [interval]", "verdict"
# The column of the throughput needs no name; what others are called is as short as can be.
_LABELS = {"output_throughput": "", "cpu_time_per_token": "cpu ", "request_throughput": "req/s "}
_PAIRED = " p"
# A bar this wide is worth a change's decimals.
_GOOD_WIDTH = 9


@dataclass(frozen=True)
class Line:
    """A scenario: its name within its group, its values, and the row whose verdict stands for all of it."""

    name: str
    values: tuple[str, ...]
    judged: RowVerdict | None

    @property
    def verdict(self) -> Verdict | None:
        return self.judged.verdict if self.judged is not None else None

    @property
    def compared(self) -> RowVerdict | None:
        return self.judged if self.judged is not None and self.judged.change_pct is not None else None


def lines_of(session: Session, verdict: SessionVerdict) -> dict[str, list[Line]]:
    """By group, in the order of the session's rows."""
    rows = {row.key: row for row in session.rows}
    return {
        group: [
            Line(
                scenario.removeprefix(f"{group}."),
                tuple(_value(rows.get((scenario, metric)), verdict) for metric in _VALUES),
                worst(verdict.of_scenario(scenario)),
            )
            for scenario in scenarios
        ]
        for group, scenarios in scenarios_by_group(session.rows).items()
    }


def worst(rows: Iterable[RowVerdict]) -> RowVerdict | None:
    """Of a scenario's gated rows the one to show: the gravest verdict; of equals the throughput."""
    gated = [row for row in rows if row.gated]
    if not gated:
        return None
    return min(gated, key=lambda row: (_SEVERITY.index(row.verdict), row.metric != "output_throughput"))


@dataclass(frozen=True)
class Layout:
    """The widths of a session's columns, and what explains their signs.

    `bar` is 0 where no row was compared, or a bar has no room.
    """

    name: int
    values: tuple[int, ...]
    change: int
    bar: int
    verdict: int
    end_pct: int
    signs: Signs
    legend: str

    @classmethod
    def of(cls, groups: Mapping[str, Sequence[Line]], width: int, signs: Signs = BOX) -> Layout:
        """For a terminal of `width` columns."""
        lines = [line for each in groups.values() for line in each]
        name = max((len(line.name) for line in lines), default=0)
        values = tuple(
            max([len(heading), *(len(line.values[place]) for line in lines)])
            for place, heading in enumerate(_VALUES.values())
        )
        verdict = max([len(_VERDICT), *(len(line.verdict) for line in lines if line.verdict)])
        compared = [row for line in lines if (row := line.compared) is not None]
        # A space before each column but the first.
        room = width - name - sum(values) - verdict - len(values) - 2
        change, bar = _divided(room, compared)
        paired = ["p: in pairs"] if any(row.pairs for row in compared) else []
        legend = "; ".join([*([f"{signs.legend}; right is worse"] if bar else []), *paired])
        return cls(name, values, change, bar, verdict, scale_pct(compared), signs, legend)

    def table(self, lines: Iterable[Line]) -> Table:
        table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
        headings = ["", *_VALUES.values(), _CHANGE if self.change >= len(_CHANGE) else _CHANGE.split(" [")[0]]
        headings += [scale(self.end_pct, self.bar)] if self.bar else []
        widths = [self.name, *self.values, self.change, *([self.bar] if self.bar else []), self.verdict]
        for heading, width in zip([*headings, _VERDICT], widths, strict=True):
            side: JustifyMethod = "right" if heading in _VALUES.values() else "left"
            table.add_column(Text(heading), width=width, justify=side, no_wrap=True, header_style="dim")
        for line in lines:
            table.add_row(*self._cells(line))
        return table

    def _cells(self, line: Line) -> Iterator[Text]:
        yield Text(line.name)
        yield from map(Text, line.values)
        row, style = line.compared, STYLES[line.verdict] if line.verdict else ""
        yield Text(change_text(row, self.change) if row else "")
        if self.bar:
            yield Text(bar(row, self.end_pct, self.bar, self.signs) if row else "", style=style)
        yield Text(str(line.verdict) if line.verdict else "", style=style)


def _divided(room: int, compared: Sequence[RowVerdict]) -> tuple[int, int]:
    """`room` columns and the space between as (change, bar): decimals first, where they leave a good bar."""
    long = max([len(_CHANGE), *(len(_with_digits(row, 1)) for row in compared)])
    if not compared:
        return long, 0
    short = max(len(_with_digits(row, 0)) for row in compared)
    least = short + 1 + LEAST_WIDTH
    if room < least:
        return max(short, min(long, room)), 0
    change = min(long, max(short, room - 1 - _GOOD_WIDTH))
    left = min(room - 1 - change, MOST_WIDTH)
    return change, left if left % 2 else left - 1


def change_text(row: RowVerdict, width: int) -> str:
    """The change, its interval, and whether pairs showed it: without decimals where that is too long."""
    long = _with_digits(row, 1)
    return long if len(long) <= width else _with_digits(row, 0)


def with_interval(change_pct: float, ci_pct: tuple[float, float] | None, digits: int) -> str:
    interval = f" {interval_text(ci_pct, digits)}" if ci_pct else ""
    return f"{signed_text(change_pct, digits)}%{interval}"


def _with_digits(row: RowVerdict, digits: int) -> str:
    label = _LABELS.get(row.metric, f"{row.metric} ")
    change = with_interval(row.change_pct or 0.0, row.ci_pct, digits)
    return f"{label}{change}{_PAIRED if row.pairs else ''}"


def _value(row: Row | None, verdict: SessionVerdict) -> str:
    """The value that was judged: of a row in pairs the candidate's there. What breaks a limit reads as breaking it."""
    if row is None:
        return ""
    judged = verdict.row(*row.key)
    value = judged.current_value if judged else None
    text = text_of(typical(row) if value is None else value, row.unit)
    for limit in verdict.limits:
        of_row = (limit.scenario, limit.metric) == row.key
        if of_row and limit.broken and limit.value is not None and text == text_of(limit.limit, limit.unit):
            text = f"{limit.value:.{digits_apart(limit.value, limit.limit)}g} {limit.unit}"
    return text.removesuffix(" tok/s")
