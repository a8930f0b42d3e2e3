"""The figures of a scenario, one a metric, for pytest-benchmark's extra_info and JUnit's properties."""

from __future__ import annotations

from collections.abc import Iterable

from tokgate.gate.scale import session_value
from tokgate.session import Row

_SUFFIX = {"tok/s": "tok_s", "s": "s", "B": "bytes"}


def typical(row: Row) -> float:
    """The value the gate judges, in the row's unit: of each launch the median, of those the fastest half's mean."""
    return session_value(row.launches, row.better)


def figures(rows: Iterable[Row]) -> dict[str, float]:
    """Metric name with its unit -> typical value, such as {"ttft_s": 0.12, "output_throughput_tok_s": 14.1}."""
    return {f"{row.metric}_{_SUFFIX.get(row.unit, row.unit)}": typical(row) for row in rows}


def scenarios_by_group(rows: Iterable[Row]) -> dict[str, list[str]]:
    """Group id -> its scenarios, both in the order of the rows."""
    groups: dict[str, dict[str, None]] = {}
    for row in rows:
        groups.setdefault(row.group or row.scenario.rsplit(".", 3)[0], {})[row.scenario] = None
    return {group: list(scenarios) for group, scenarios in groups.items()}
