"""From a judged session to the facts that its page shows. Pure: no files, no figures, no HTML.

A session's telemetry may come from an older tokgate or another tool: what is not there is None.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tokgate.gate.history import Baselines
from tokgate.gate.verdict import RowVerdict, SessionVerdict, Verdict
from tokgate.report.details import launches_of
from tokgate.report.figures import scenarios_by_group, typical
from tokgate.scenario import PRECISIONS
from tokgate.session import Row, Session

_SHAPE = re.compile(r"([bc])(\d{1,9})\.p(\d{1,9})\.o(\d{1,9})")


@dataclass(frozen=True)
class Shape:
    """`by`: "b" for a batch, "c" for a server's concurrency; `at_once` of it; tokens of a prompt and of an answer."""

    by: str
    at_once: int
    prompt_len: int
    output_len: int


@dataclass(frozen=True)
class RowFacts:
    """One metric of one scenario. `label`: the scenario within its group. `judged`: None for rows nobody judged.

    `value`: as the gate judges it, in `row.unit`.
    """

    row: Row
    group: str
    label: str
    shape: Shape | None
    value: float
    judged: RowVerdict | None

    @property
    def verdict(self) -> str:
        return str(self.judged.verdict) if self.judged else str(Verdict.NO_BASELINE)

    @property
    def key(self) -> str:
        return f"{self.row.scenario} {self.row.metric}"


@dataclass(frozen=True)
class RoundFacts:
    """One round in the order they were run; `launch` and `number` count from 1.

    `cores`, `foreign_cores`: busy on average, of the engine and of others. `gpu_share`, `kv_share`: 0 to 1.
    """

    group: str
    scenario: str
    launch: int
    number: int
    seconds: float
    disturbed: str | None
    cores: float | None
    foreign_cores: float | None
    gpu_share: float | None
    power_w: float | None
    clock_mhz: float | None
    kv_share: float | None


@dataclass(frozen=True)
class SessionFacts:
    """A session, its verdict, what it was held against, and the name of its file."""

    session: Session
    verdict: SessionVerdict
    baselines: Baselines
    file: str
    rows: tuple[RowFacts, ...]
    rounds: tuple[RoundFacts, ...]

    @property
    def groups(self) -> list[str]:
        return list(dict.fromkeys(row.group for row in self.rows))

    def of_metric(self, metric: str) -> list[RowFacts]:
        return [row for row in self.rows if row.row.metric == metric]

    @property
    def started(self) -> str:
        """To the minute, as people write it."""
        return self.session.started.replace("T", " ")[:16]


def session_facts(session: Session, verdict: SessionVerdict, baselines: Baselines, file: str) -> SessionFacts:
    """`file`: the name of the session's file, without its folder."""
    groups = {
        scenario: group for group, scenarios in scenarios_by_group(session.rows).items() for scenario in scenarios
    }
    judged = {row.key: row for row in verdict.rows}
    rows = tuple(
        RowFacts(
            row=row,
            group=groups[row.scenario],
            label=row.scenario.removeprefix(f"{groups[row.scenario]}."),
            shape=shape_of(row.scenario),
            value=_value(row, judged.get(row.key)),
            judged=judged.get(row.key),
        )
        for row in session.rows
    )
    return SessionFacts(session, verdict, baselines, file, rows, tuple(_rounds(session)))


def shape_of(scenario: str) -> Shape | None:
    """Of `...bN.pN.oN` or `...cN.pN.oN`; None for an id that ends in another way."""
    parts = _SHAPE.fullmatch(".".join(scenario.split(".")[-3:]))
    return Shape(parts[1], int(parts[2]), int(parts[3]), int(parts[4])) if parts else None


def model_of(group: str) -> str:
    """The model of a group's or scenario's id; "" where no precision tells where it ends."""
    words = group.split(".")
    place = next((index for index, word in enumerate(words) if word in PRECISIONS), 0)
    return ".".join(words[: place - 1]) if place > 1 else ""


def short_names(groups: Iterable[str]) -> dict[str, str]:
    """Groups without their model, if all are of one."""
    names = list(dict.fromkeys(groups))
    models = {model_of(name) for name in names}
    return {name: name.removeprefix(f"{model_of(name)}.") if len(models) == 1 else name for name in names}


def _value(row: Row, judged: RowVerdict | None) -> float:
    """What was judged: of a row in pairs the candidate's there."""
    return judged.current_value if judged is not None and judged.current_value is not None else typical(row)


def _rounds(session: Session) -> Iterator[RoundFacts]:
    told = session.telemetry.get("groups")
    for group in told if isinstance(told, Mapping) else ():
        for number, launch in enumerate(launches_of(session, group), 1):
            rounds = launch.get("rounds")
            for index, event in enumerate(rounds if isinstance(rounds, list) else (), 1):
                if isinstance(event, Mapping) and (seconds := _number(event, "total_s")) is not None:
                    yield _round(group, number, index, seconds, event)


def _round(group: str, launch: int, number: int, seconds: float, event: Mapping[str, Any]) -> RoundFacts:
    use, gpu, server = _of(event, "use"), _of(event, "gpu"), _of(event, "server")
    wall_s = _number(use, "wall_s")
    own_s, foreign_s = _number(use, "own_cpu_s"), _number(use, "foreign_s")
    disturbed = event.get("disturbed")
    return RoundFacts(
        group=group,
        scenario=str(event.get("scenario", "")),
        launch=launch,
        number=number,
        seconds=seconds,
        disturbed=None if disturbed is None else str(disturbed),
        cores=own_s / wall_s if wall_s and own_s is not None else None,
        foreign_cores=foreign_s / wall_s if wall_s and foreign_s is not None else None,
        gpu_share=_number(gpu, "utilization"),
        power_w=_number(gpu, "power_w"),
        clock_mhz=_number(gpu, "sm_clock_mhz"),
        kv_share=_number(server, "kv_cache_use"),
    )


def _number(told: Mapping[str, Any], name: str) -> float | None:
    value = told.get(name)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _of(told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = told.get(name)
    return value if isinstance(value, Mapping) else {}
