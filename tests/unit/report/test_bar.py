"""The bar of a change: to scale, and legible without colour or a good encoding."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tokgate.gate.verdict import RowVerdict, Verdict
from tokgate.report.bar import ASCII, BOX, LEAST_WIDTH, MOST_WIDTH, Signs, bar, scale, scale_pct, signs_for

pytestmark = pytest.mark.unit

PERCENTS = st.floats(-500, 500)
WIDTHS = st.integers(LEAST_WIDTH // 2, MOST_WIDTH // 2).map(lambda half: 2 * half + 1)


def row(change: float | None, low: float = 0.0, high: float = 0.0, margin: float | None = 20.0) -> RowVerdict:
    interval = None if change is None else (low, high)
    return RowVerdict("s", "ttft", Verdict.PASS, (), change_pct=change, ci_pct=interval, margin_pct=margin)


@pytest.mark.parametrize(
    ("change", "low", "high", "box", "ascii_"),
    [
        (1.1, -5.1, 4.0, "      ─●─   ┃  ", "      -o-   ]  "),
        (8.0, -3.0, 22.0, "      ─┼─●──╂  ", "      -+-o--]  "),
        (25.7, 21.4, 30.0, "       │    ┃●─", "       |    ]o-"),
        (-12.3, -15.5, 100.0, "   ─●──┼────╂─▸", "   -o--+----]->"),
        (150.0, 140.0, 160.0, "       │    ┃ ▸", "       |    ] >"),
        (-60.0, -70.0, -50.0, "◂      │    ┃  ", "<      |    ]  "),
    ],
)
def test_change_interval_and_margin_are_drawn_to_scale(
    change: float, low: float, high: float, box: str, ascii_: str
) -> None:
    assert bar(row(change, low, high), 30, 15, BOX) == box
    assert bar(row(change, low, high), 30, 15, ASCII) == ascii_


def test_an_interval_that_ends_short_of_the_margin_does_not_seem_to_reach_it() -> None:
    """Even where both are in one cell."""
    assert BOX.margin in bar(row(5.0, 1.0, 19.9), 30, 7, BOX)
    assert BOX.margin_within in bar(row(5.0, 1.0, 20.1), 30, 7, BOX)


@example(0.0, 51.0, 51.0, 27.0, 7, BOX)  # beyond the scale by less than half a cell
@given(PERCENTS, PERCENTS, PERCENTS, st.one_of(st.none(), st.floats(0.1, 100)), WIDTHS, st.sampled_from([BOX, ASCII]))
def test_any_row_fills_its_cells_and_shows_where_its_change_is(
    one: float, two: float, three: float, margin: float | None, width: int, signs: Signs
) -> None:
    low, change, high = sorted((one, two, three))
    judged = row(change, low, high, margin)
    end = scale_pct([judged])
    drawn = bar(judged, end, width, signs)
    assert len(drawn) == width
    if abs(change) <= end:
        assert drawn.count(signs.change) == 1
    else:
        assert drawn[-1 if change > 0 else 0] == (signs.above if change > 0 else signs.below)
    if margin is not None:
        assert end > margin, "there is room beyond the margin"


@given(st.floats(-30, 30), st.floats(-30, 30), WIDTHS)
def test_a_worse_change_stands_no_further_left(one: float, two: float, width: int) -> None:
    low, high = sorted((one, two))
    places = [bar(row(change, change, change), 30, width, BOX).index(BOX.change) for change in (low, high)]
    assert places == sorted(places)


def test_a_row_that_was_compared_with_nothing_has_no_bar() -> None:
    with pytest.raises(ValueError, match="no change to draw"):
        bar(row(None), 30, 11, BOX)


@pytest.mark.parametrize(
    ("margins", "end"), [([20.0], 30), ([6.0], 10), ([3.0, 6.0], 10), ([3.0], 5), ([None], 30), ([500.0], 200)]
)
def test_the_scale_is_a_round_figure_with_room_beyond_the_largest_margin(margins: list[float | None], end: int) -> None:
    assert scale_pct(row(0.0, margin=margin) for margin in margins) == end


@pytest.mark.parametrize(("width", "text"), [(7, "-30 +30"), (9, "-30% +30%"), (11, "-30%   +30%")])
def test_the_heading_says_where_the_scale_ends(width: int, text: str) -> None:
    assert scale(30, width) == text


@pytest.mark.parametrize(
    ("encoding", "signs"),
    [("utf-8", BOX), ("UTF-8", BOX), ("ascii", ASCII), ("latin-1", ASCII), (None, ASCII), ("no-such", ASCII)],
)
def test_what_the_stream_cannot_write_is_written_in_ascii(encoding: str | None, signs: Signs) -> None:
    assert signs_for(encoding) is signs
    "".join(vars(ASCII).values()).encode("ascii")
