"""Rows of users beside each other: memory, requests a second, how long each took, failures."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from tokgate.gate.scale import session_value
from tokgate.report.units import text_of
from tokgate.session import Session

_COLUMNS = (("memory", "peak_memory"), ("GPU", "peak_gpu_memory"), ("RPS", "request_throughput"), ("p50", "e2el"),
            ("p90", "p90_e2el"), ("p95", "p95_e2el"), ("p99", "p99_e2el"))  # fmt: skip
_WIDTH = 100


def users_table(session: Session, names: Sequence[str]) -> str:
    """A line for each of the scenarios that end in one of `names`, in their order; those not measured are left out.

    Of a load with failures there are no figures but its counts.
    """
    counts = _counts(session)
    found = {scenario: name for name in names for scenario in counts if scenario.endswith(f".{name}")}
    values = {(row.scenario, row.metric): row for row in session.rows}
    shown = [column for column in _COLUMNS if any((scenario, column[1]) in values for scenario in found)]
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("", no_wrap=True)
    for title in [*(title for title, _ in shown), "requests", "failed", "unfinished"]:
        table.add_column(title, justify="right", no_wrap=True)
    for scenario, name in found.items():
        rows = [values.get((scenario, metric)) for _, metric in shown]
        texts = [text_of(session_value(row.launches, row.better), row.unit) if row else "" for row in rows]
        told = counts[scenario]
        kept = [str(told[count]) for count in ("requests", "failed", "unfinished")]
        table.add_row(name, *(text.removesuffix(" req/s") for text in texts), *kept)
    text = io.StringIO()
    Console(file=text, width=_WIDTH, highlight=False).print(table)
    return text.getvalue().rstrip("\n")


def _counts(session: Session) -> dict[str, dict[str, int]]:
    """Scenario -> how its users' requests ended, over all rounds, in the order measured."""
    found: dict[str, dict[str, int]] = {}
    for event in _rounds(session.telemetry):
        if "unfinished" in event:
            told = found.setdefault(event["scenario"], {"requests": 0, "failed": 0, "unfinished": 0})
            for name in told:
                told[name] += event[name]
    return found


def _rounds(telemetry: dict[str, Any]) -> Iterable[dict[str, Any]]:
    groups: dict[str, Any] = telemetry.get("groups", {})
    return (event for group in groups.values() for launch in group["launches"] for event in launch["rounds"])
