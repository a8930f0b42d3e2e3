"""The forest plot: each gated row's change against its baseline, with the interval that its verdict used."""

from __future__ import annotations

from collections.abc import Sequence

from tokgate.gate.scale import size_text
from tokgate.gate.verdict import RowVerdict, Verdict
from tokgate.report.html.blocks import Figure
from tokgate.report.html.data import RowFacts
from tokgate.report.html.figures.base import MARKS, Lanes, axis, figure, lanes, metric_name, text
from tokgate.report.rows_table import with_interval

# Where an interval is this many times as wide as what matters, showing all of it would hide the others.
_WIDEST = 3.0
_LEAST_RANGE_PCT = 5.0


def forest(rows: Sequence[RowFacts]) -> Figure | None:
    """None where no row was compared with anything."""
    compared = [row for row in rows if row.judged is not None and row.judged.change_pct is not None]
    if not compared:
        return None
    placed = lanes(compared, with_metric=True)
    data = [_trace(verdict, compared, placed) for verdict in MARKS]
    data = [_margins(compared, placed), *(trace for trace in data if trace["x"])]
    return figure(
        data,
        placed.height + 30,
        showlegend=True,
        xaxis=axis("worse by", range=_range(compared), ticksuffix="%"),
        yaxis=placed.axis(),
        annotations=placed.annotations(),
        shapes=[
            {"type": "line", "xref": "x", "x0": 0, "x1": 0, "yref": "paper", "y0": 0, "y1": 1, "layer": "below",
             "line": {"color": "@axis", "width": 1}},
        ],
    )  # fmt: skip


def _trace(verdict: Verdict, rows: Sequence[RowFacts], placed: Lanes) -> Figure:
    mark = MARKS[verdict]
    chosen = [(row, judged) for row in rows if (judged := row.judged) is not None and judged.verdict is verdict]
    change = [judged.change_pct or 0.0 for _, judged in chosen]
    bounds = [judged.ci_pct or (judged.change_pct or 0.0, judged.change_pct or 0.0) for _, judged in chosen]
    return {
        "type": "scatter", "mode": "markers", "name": str(verdict),
        "x": change, "y": [placed.places[row.key] for row, _ in chosen],
        "error_x": {
            "type": "data", "symmetric": False, "thickness": 2, "width": 0, "color": mark.color,
            "array": [high - at for at, (_, high) in zip(change, bounds, strict=True)],
            "arrayminus": [at - low for at, (low, _) in zip(change, bounds, strict=True)],
        },
        "marker": {"symbol": mark.symbol, "color": mark.color, "size": 10, "line": {"width": 2, "color": mark.color}},
        "text": [_hover(row, judged) for row, judged in chosen], "hovertemplate": "%{text}<extra></extra>",
    }  # fmt: skip


def _margins(rows: Sequence[RowFacts], placed: Lanes) -> Figure:
    known = [(row, row.judged.margin_pct) for row in rows if row.judged and row.judged.margin_pct is not None]
    return {
        "type": "scatter", "mode": "markers", "name": "margin: a change that matters",
        "x": [margin for _, margin in known], "y": [placed.places[row.key] for row, _ in known],
        "marker": {"symbol": "line-ns-open", "size": 14, "color": "@muted", "line": {"width": 1.5, "color": "@muted"}},
        "text": [f"margin {margin:g}%" for _, margin in known], "hovertemplate": "%{text}<extra></extra>",
    }  # fmt: skip


def _hover(row: RowFacts, judged: RowVerdict) -> str:
    seen = f"<br>sees changes from {size_text(judged.mde_pct)} up" if judged.mde_pct is not None else ""
    against = f"{judged.pairs} pairs" if judged.pairs else f"{judged.sessions} accepted sessions"
    return (
        f"<b>{text(row.row.scenario)}</b><br>{metric_name(text(row.row.metric))}: {judged.verdict}<br>"
        f"{text(with_interval(judged.change_pct or 0.0, judged.ci_pct, 1))}, against {against}{seen}"
    )


def _range(rows: Sequence[RowFacts]) -> list[float]:
    judged = [row.judged for row in rows if row.judged is not None]
    changes = [judged.change_pct or 0.0 for judged in judged]
    material = [judged.margin_pct or 0.0 for judged in judged]
    most = max(_LEAST_RANGE_PCT, _WIDEST * max(material), *(1.5 * abs(change) for change in changes))
    bounds = [bound for judged in judged for bound in judged.ci_pct or (0.0,)]
    low, high = max(-most, min(bounds)), min(most, max([*bounds, *material]))
    edge = 0.06 * (high - low)
    return [min(low, 0.0) - edge, max(high, 0.0) + edge]
