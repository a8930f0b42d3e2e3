"""Absolute bounds that are no measurement (a published floor, an SLO), held against a session's rows."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tokgate.errors import InputError
from tokgate.gate.scale import session_value
from tokgate.gate.verdict import LimitVerdict
from tokgate.session import Row, Session, check_slug

_KEYS = ("scenario", "metric", "min", "max", "unit", "source")
# Seconds in a unit of time, so that an SLO may stand in milliseconds as people write it.
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
# A session value of several launches passes through log and exp; a bound met exactly is met.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Limit:
    """`bound` "min": the value must not be below `limit`; "max": not above it. `source`: who says so."""

    scenario: str
    metric: str
    bound: Literal["min", "max"]
    limit: float
    unit: str
    source: str

    def is_broken_by(self, value: float) -> bool:
        if math.isclose(value, self.limit, rel_tol=_ROUNDING):
            return False
        return value < self.limit if self.bound == "min" else value > self.limit


def check_limits(session: Session, limits: Iterable[Limit]) -> list[LimitVerdict]:
    """Holds each limit of a measured scenario against the row's session value.

    A limit whose scenario was measured without its metric is broken: what was not measured cannot pass.
    Raises InputError where units cannot be converted.
    """
    rows = {row.key: row for row in session.rows}
    scenarios = {row.scenario for row in session.rows}
    return [_check(limit, rows.get((limit.scenario, limit.metric))) for limit in limits if limit.scenario in scenarios]


def parse_limits(data: Mapping[str, Any], source: str) -> list[Limit]:
    """The [[limit]] tables of a limits.toml; `source` names it in errors. Raises InputError."""
    for name in data:
        _check_key(name, ("limit",), source)
    tables = data.get("limit", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise InputError(f"{source}: expected tables headed [[limit]]")
    limits = [_limit(table, f"{source}: limit {number}") for number, table in enumerate(tables, 1)]
    seen: set[tuple[str, str, str]] = set()
    for limit in limits:
        key = (limit.scenario, limit.metric, limit.bound)
        if key in seen:
            raise InputError(f"{source}: {' '.join(key)} stands twice; leave one")
        seen.add(key)
    return limits


def _limit(table: Mapping[str, Any], source: str) -> Limit:
    for key in table:
        _check_key(key, _KEYS, source)
    bounds = [bound for bound in ("min", "max") if bound in table]
    if len(bounds) != 1:
        raise InputError(f"{source}: expected one of min and max, found {' and '.join(bounds) or 'neither'}")
    for key in ("scenario", "metric", "unit", "source"):
        if not isinstance(table.get(key), str) or not table[key].strip():
            raise InputError(f"{source}: {key} is {table.get(key)!r}; expected a text that is not empty")
    value = table[bounds[0]]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InputError(f"{source}: {bounds[0]} is {value!r}; expected a number")
    return Limit(
        scenario=check_slug(f"{source}: scenario", table["scenario"]),
        metric=table["metric"],
        bound="min" if bounds[0] == "min" else "max",
        limit=float(value),
        unit=table["unit"],
        source=table["source"],
    )


def _check_key(key: str, known: Sequence[str], source: str) -> None:
    if key in known:
        return
    near = difflib.get_close_matches(key, known, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"expected {', '.join(known)}"
    raise InputError(f"{source}: unknown key {key!r}; {hint}")


def _check(limit: Limit, row: Row | None) -> LimitVerdict:
    text = f"{limit.bound} {limit.limit:.7g} {limit.unit} ({limit.source})"
    if row is None:
        value = None
        broken = True
        why = f"limit {text}: the session measured this scenario and has no {limit.metric}; measure it"
    else:
        value = session_value(row.launches, row.better) * _factor(row, limit)
        broken = limit.is_broken_by(value)
        why = f"{value:.7g} {limit.unit} {'breaks' if broken else 'keeps'} the limit {text}"
    return LimitVerdict(
        limit.scenario,
        limit.metric,
        limit.bound,
        limit.limit,
        limit.unit,
        limit.source,
        value,
        broken,
        why,
    )


def _factor(row: Row, limit: Limit) -> float:
    if row.unit == limit.unit:
        return 1.0
    if row.unit in _SECONDS and limit.unit in _SECONDS:
        return _SECONDS[row.unit] / _SECONDS[limit.unit]
    raise InputError(
        f"the limit on {limit.scenario} {limit.metric} is in {limit.unit!r} and the session's row in "
        f"{row.unit!r}; write the limit in {row.unit!r}"
    )
