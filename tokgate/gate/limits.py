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

Bound = Literal["min", "max", "reference"]
_BOUNDS: tuple[Bound, ...] = ("min", "max", "reference")
_KEYS = ("scenario", "metric", *_BOUNDS, "unit", "weight", "source")
_TABLES = ("limit", "workload")
# Seconds in a unit of time, so that an SLO may stand in milliseconds as people write it.
SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
# A session value of several launches passes through log and exp; a bound met exactly is met.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Limit:
    """`bound` "min": the value must not be below `limit`; "max": not above it; "reference": shown beside it.

    `source`: who says so. `weight_pct`: its share of a score card.
    """

    scenario: str
    metric: str
    bound: Bound
    limit: float
    unit: str
    source: str
    weight_pct: float | None = None

    def is_broken_by(self, value: float) -> bool:
        if self.bound == "reference" or math.isclose(value, self.limit, rel_tol=_ROUNDING):
            return False
        return value < self.limit if self.bound == "min" else value > self.limit


def check_limits(session: Session, limits: Iterable[Limit]) -> list[LimitVerdict]:
    """Holds each limit of a measured scenario against the row's session value.

    A limit whose scenario was measured without its metric is broken: what was not measured cannot pass. A
    reference is never broken. Raises InputError where units cannot be converted.
    """
    rows = {row.key: row for row in session.rows}
    scenarios = {row.scenario for row in session.rows}
    return [_check(limit, rows.get((limit.scenario, limit.metric))) for limit in limits if limit.scenario in scenarios]


def parse_limits(data: Mapping[str, Any], source: str) -> list[Limit]:
    """The [[limit]] tables of a limits.toml; `source` names it in errors. Raises InputError."""
    limits = [
        _limit(table, f"{source}: limit {number}") for number, table in enumerate(tables(data, "limit", source), 1)
    ]
    seen: set[tuple[str, str, str]] = set()
    for limit in limits:
        key = (limit.scenario, limit.metric, limit.bound)
        if key in seen:
            raise InputError(f"{source}: {' '.join(key)} stands twice; leave one")
        seen.add(key)
    for scenario in {limit.scenario for limit in limits}:
        total = math.fsum(limit.weight_pct or 0 for limit in limits if limit.scenario == scenario)
        if total > 100 * (1 + _ROUNDING):
            raise InputError(f"{source}: the weights of {scenario} sum to {total:g}; expected 100 at most")
    return limits


def tables(data: Mapping[str, Any], name: str, source: str) -> list[dict[str, Any]]:
    """The [[name]] tables of a decoded limits.toml. Raises InputError for a heading that it does not have."""
    for heading in data:
        check_key(heading, _TABLES, source)
    found = data.get(name, [])
    if not isinstance(found, list) or not all(isinstance(table, dict) for table in found):
        raise InputError(f"{source}: expected tables headed [[{name}]]")
    return found


def check_text(table: Mapping[str, Any], key: str, source: str) -> str:
    """The text of a table's key. Raises InputError if it is missing or blank."""
    value = table.get(key)
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{source}: {key} is {value!r}; expected a text that is not empty")
    return value


def check_key(key: str, known: Sequence[str], source: str) -> None:
    """Raises InputError for a key that is not known, naming the one that was probably meant."""
    if key in known:
        return
    near = difflib.get_close_matches(key, known, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"expected {', '.join(known)}"
    raise InputError(f"{source}: unknown key {key!r}; {hint}")


def _limit(table: Mapping[str, Any], source: str) -> Limit:
    for key in table:
        check_key(key, _KEYS, source)
    bounds = [bound for bound in _BOUNDS if bound in table]
    if len(bounds) != 1:
        raise InputError(
            f"{source}: expected one of min and max, or a reference, found {' and '.join(bounds) or 'neither'}"
        )
    scenario, metric, unit, who = (check_text(table, key, source) for key in ("scenario", "metric", "unit", "source"))
    weight_pct = _number(table, "weight", source) if "weight" in table else None
    if weight_pct is not None and (bounds[0] == "reference" or not 0 < weight_pct <= 100):
        raise InputError(
            f"{source}: weight is {weight_pct:g}; expected percent of the score card, above 0 and up to 100, "
            "beside a min or a max: a reference cannot be kept or broken"
        )
    return Limit(
        scenario=check_slug(f"{source}: scenario", scenario),
        metric=metric,
        bound=bounds[0],
        limit=_number(table, bounds[0], source),
        unit=unit,
        source=who,
        weight_pct=weight_pct,
    )


def _number(table: Mapping[str, Any], key: str, source: str) -> float:
    value = table[key]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InputError(f"{source}: {key} is {value!r}; expected a number")
    return float(value)


def _check(limit: Limit, row: Row | None) -> LimitVerdict:
    text = f"{limit.bound} {limit.limit:.7g} {limit.unit} ({limit.source})"
    if row is None:
        value = None
        broken = limit.bound != "reference"
        why = f"{limit.metric} is missing, limit {text}: the session measured this scenario without it; measure it"
    else:
        value = session_value(row.launches, row.better) * _factor(row, limit)
        broken = limit.is_broken_by(value)
        why = f"{limit.metric} {value:.7g} {limit.unit} {'breaks' if broken else 'keeps'} the limit {text}"
    if limit.bound == "reference":
        why = f"{limit.metric} {'not measured' if value is None else f'{value:.7g} {limit.unit}'} beside the {text}"
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
        limit.weight_pct,
    )


def _factor(row: Row, limit: Limit) -> float:
    if row.unit == limit.unit:
        return 1.0
    if row.unit in SECONDS and limit.unit in SECONDS:
        return SECONDS[row.unit] / SECONDS[limit.unit]
    raise InputError(
        f"the limit on {limit.scenario} {limit.metric} is in {limit.unit!r} and the session's row in "
        f"{row.unit!r}; write the limit in {row.unit!r}"
    )
