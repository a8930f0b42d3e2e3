"""A row's change as a bar of text: its interval, the change itself and its margin, on a scale from -L% to +L%. Pure.

Colour adds nothing to it: each part has a sign of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tokgate.gate.verdict import RowVerdict

# Odd, so that zero has a cell of its own.
LEAST_WIDTH, MOST_WIDTH = 7, 21
_ENDS_PCT = (2, 5, 10, 20, 30, 40, 50, 75, 100, 150, 200)
# The margin stands inside the scale, and what is beyond it has room to be seen.
_BEYOND_MARGIN = 1.5
_USUAL_MARGIN_PCT = 20.0


@dataclass(frozen=True)
class Signs:
    """`zero_within` and `margin_within` stand where the interval goes through; `below` and `above` where the scale ends
    before what it should show.
    """

    interval: str
    change: str
    zero: str
    zero_within: str
    margin: str
    margin_within: str
    below: str
    above: str

    @property
    def legend(self) -> str:
        return f"bars: {self.change} change, {self.interval * 2} interval, {self.zero} no change, {self.margin} margin"


BOX = Signs("─", "●", "│", "┼", "┃", "╂", "◂", "▸")
ASCII = Signs("-", "o", "|", "+", "]", "]", "<", ">")


def signs_for(encoding: str | None) -> Signs:
    """Plain letters where the stream's encoding cannot write lines and dots."""
    try:
        "".join(vars(BOX).values()).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return BOX


def scale_pct(rows: Iterable[RowVerdict]) -> int:
    """L: the least round figure with room beyond every row's margin. Rows of one table share it."""
    margins = [row.margin_pct for row in rows if row.margin_pct is not None]
    least = _BEYOND_MARGIN * max(margins, default=_USUAL_MARGIN_PCT)
    return next((end for end in _ENDS_PCT if end >= least), _ENDS_PCT[-1])


def bar(row: RowVerdict, end_pct: int, width: int, signs: Signs) -> str:
    """`width` cells, an odd number. Raises ValueError for a row that was compared with nothing."""
    if row.change_pct is None:
        raise ValueError(f"{row.scenario} {row.metric} has no change to draw; expected a row that was compared")
    low, high = row.ci_pct or (row.change_pct, row.change_pct)
    zero, margin = _cell(0.0, end_pct, width), row.margin_pct
    cells = [" "] * width
    first, last = _cell(low, end_pct, width), _cell(high, end_pct, width)
    within = range(max(first, 0), min(last, width - 1) + 1)
    for place in within:
        cells[place] = signs.interval
    # By value and not by cell: an interval that ends short of the margin must not seem to reach it.
    cells[zero] = signs.zero_within if low <= 0 <= high else signs.zero
    if margin is not None and (at := _cell(margin, end_pct, width)) < width:
        cells[at] = signs.margin_within if low <= margin <= high else signs.margin
    if first < 0:
        cells[0] = signs.below
    if last >= width:
        cells[-1] = signs.above
    change = _cell(row.change_pct, end_pct, width)
    if 0 <= change < width:
        cells[change] = signs.change
    return "".join(cells)


def scale(end_pct: int, width: int) -> str:
    """The column's heading: where the scale begins and ends, without the percent signs where they have no room."""
    left, right = f"{-end_pct:+d}", f"{end_pct:+d}"
    unit = "%" if len(f"{left}%{right}%") < width else ""
    return f"{left}{unit}" + f"{right}{unit}".rjust(width - len(left) - len(unit))


def _cell(value_pct: float, end_pct: int, width: int) -> int:
    """The cell that holds it; below 0 or from `width` on where the scale ends before it."""
    half = width // 2
    if abs(value_pct) > end_pct:
        return width if value_pct > 0 else -1
    return half + round(value_pct / end_pct * half)
