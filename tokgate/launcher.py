"""The launches of a group: a number of fresh ones, or those of pairs in turns, each on its plan."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from tokgate.engine_settings import engine_settings
from tokgate.errors import MeasurementError
from tokgate.given import merged
from tokgate.launch import LaunchRecord, Turns, run_launch
from tokgate.models.artifacts import Artifact, ensure
from tokgate.models.source import ModelSource
from tokgate.options import COMMAND_NAMES, DEFAULT_PAIRS, OptionNames
from tokgate.pairing import CANDIDATE, REFERENCE, order
from tokgate.plan import PLAN_SCHEMA, LaunchPlan, PlanRow, ServerPlan
from tokgate.scenario import Group, Profile, Scenario
from tokgate.serving.remote import Remote
from tokgate.tracing import GroupTrace, run_trace

# One prompt seed for ever: sessions must do the same work to be comparable.
_PROMPT_SEED = 20261121
_LEAST_REPEATS = 4


class Progress(Protocol):
    """Shows a person what runs: `launches` with `rounds` each, every round that ends, and every launch."""

    def say(self, text: str) -> None: ...

    def start(self, title: str, launches: int, rounds: int) -> None: ...

    def advance(self, detail: str) -> None: ...

    def launched(self) -> None: ...

    def finish(self) -> None: ...


@dataclass(frozen=True)
class Setting:
    """What stays the same for all groups of a run: where, with what, and how much.

    `builder` and `python` are the interpreters that build the models and that measure; `reference`, if any, the
    one that is measured beside it, on the same models. `machine`: its stable facts, which say what it can run.
    `load_workers`: how many of Locust's, 0: one process does it all. `remote`: the server that is measured where it
    is, instead of starting one; `logs_dir`: where what workers and servers print is kept; None: nowhere. `trace_dir`:
    where traces go, if they are wanted. `given`: settings that go before those of the rows, for what is judged and not
    for the reference. `names`: of the options that gave the interpreters.
    """

    profile: Profile
    sources: dict[str, ModelSource]
    cache_root: Path
    builder: str
    python: str
    isa: str
    threads: int
    reference: str | None = None
    pairs: int = DEFAULT_PAIRS
    seed: str = ""
    machine: Mapping[str, Any] = field(default_factory=dict)
    load_workers: int = 0
    remote: Remote | None = None
    logs_dir: Path | None = None
    trace_dir: Path | None = None
    given: Mapping[str, Any] = field(default_factory=dict)
    names: OptionNames = COMMAND_NAMES

    def told(self, group: Group) -> dict[str, Any]:
        """All settings of the group's engine, as it is judged."""
        return merged(engine_settings(group, self.sources[group.shape]), self.given)


@dataclass(frozen=True)
class Start:
    """A launch to make: with which interpreter, into which list. Launches of one `seed` have one order of rows.

    `given`: engine settings that go before the group's.
    """

    python: str
    records: list[LaunchRecord]
    seed: str
    shown: str
    blamed: str = ""
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of its files: `launch-1`, `pair-1-reference`."""
        return re.sub(r"/\d+", "", self.shown).replace(" ", "-")


class Launcher:
    """Makes launches of one setting, and shows them."""

    def __init__(self, setting: Setting, progress: Progress) -> None:
        self._setting = setting
        self._progress = progress

    def fresh(self, what: str, records: list[LaunchRecord]) -> list[Start]:
        """The profile's number of launches of the interpreter that is judged."""
        setting, count = self._setting, self._setting.profile.launches
        return [
            Start(setting.python, records, f"{what} {number}", f"{what} {number + 1}/{count}", given=setting.given)
            for number in range(count)
        ]

    def in_turns(
        self, reference: str, group: Group, references: list[LaunchRecord], candidates: list[LaunchRecord]
    ) -> list[Start]:
        """Launches of both in turns; the two of a pair differ in the interpreter and the settings given, alone."""
        setting = self._setting
        python = {REFERENCE: reference, CANDIDATE: setting.python}
        records = {REFERENCE: references, CANDIDATE: candidates}
        return [
            Start(
                python[turn.side],
                records[turn.side],
                f"pair {turn.pair}",
                f"pair {turn.pair + 1}/{setting.pairs} {turn.side}",
                blamed=f"{turn.side} ({python[turn.side]}): ",
                given=setting.given if turn.side == CANDIDATE else {},
            )
            for turn in order(setting.pairs, f"{setting.seed} {group.id} pairs")
        ]

    def run(
        self, what: str, group: Group, scenarios: Sequence[Scenario], artifact: Artifact, starts: Sequence[Start]
    ) -> None:
        """Makes the launches one after another. Raises MeasurementError, naming whose launch failed."""
        rounds = self._setting.profile.rounds
        plans = self._plans(group, scenarios, artifact, starts)
        launches = [(start, plan, self._log(group, start.name)) for start, plan in zip(starts, plans, strict=True)]
        early = [(plan, start.python, log) for start, plan, log in launches if plan.in_turn]
        self._progress.start(f"{group.id} {what}", len(starts), rounds * len(scenarios))
        try:
            with Turns(early) as turns:
                for start, plan, log in launches:

                    def heard(scenario_id: str, shown: str = start.shown) -> None:
                        self._progress.advance(f"{shown} {scenario_id.removeprefix(f'{group.id}.')}")

                    turn = turns if plan.in_turn else None
                    try:
                        start.records.append(run_launch(plan, start.python, heard, log, turn))
                    except MeasurementError as error:
                        raise MeasurementError(f"{start.blamed}{error}") from None
                    self._progress.launched()
        finally:
            self._progress.finish()

    def _plans(
        self, group: Group, scenarios: Sequence[Scenario], artifact: Artifact, starts: Sequence[Start]
    ) -> list[LaunchPlan]:
        """One for each start. Engines on a GPU are big libraries, on hosts with cores and memory to spare: their
        workers import them ahead of their turn. What is measured on CPUs has nothing beside it that waits."""
        remote = self._setting.remote is not None
        in_turn = group.device == "gpu" and not group.is_service and not remote
        plans = []
        probed = {id(start.records) for start in starts if start.records}
        for start in starts:
            # A GPU's peaks take some seconds before the engine is loaded: once for each side of a comparison.
            peaks = (group.device == "cpu" or id(start.records) not in probed) and not remote
            probed.add(id(start.records))
            plan = self._plan(group, scenarios, artifact, start)
            plans.append(replace(plan, measure_peaks=peaks, in_turn=in_turn))
        return plans

    def _log(self, group: Group, name: str) -> Path | None:
        folder = self._setting.logs_dir
        return folder / group.id / f"{name}.log" if folder else None

    def trace(self, group: Group, scenarios: Sequence[Scenario], artifact: Artifact, folder: Path) -> GroupTrace:
        """Makes one launch that traces a round of each scenario into `folder`. Raises MeasurementError."""
        start = Start(self._setting.python, [], "trace", "trace", given=self._setting.given)
        plan = replace(self._plan(group, scenarios, artifact, start), rounds=1, repeats=0, measure_peaks=False)
        self._progress.start(f"{group.id} trace", 1, len(scenarios))
        try:
            return run_trace(plan, self._setting.python, folder, self._progress.advance)
        finally:
            self._progress.finish()

    def _plan(self, group: Group, scenarios: Sequence[Scenario], artifact: Artifact, start: Start) -> LaunchPlan:
        setting = self._setting
        source = setting.sources[group.shape]
        rounds = setting.profile.rounds
        return LaunchPlan(
            schema=PLAN_SCHEMA,
            engine=group.engine,
            model_dir=str(artifact.path),
            vocab_size=source.vocab_size,
            settings=merged(engine_settings(group, source), start.given),
            threads=setting.threads,
            rounds=rounds,
            # As many again: a neighbour's burst is waited out, a machine that is always busy is given up.
            repeats=max(0 if _has_users(scenarios) else _LEAST_REPEATS, rounds * len(scenarios)),
            order_seed=random.Random(f"{setting.seed} {group.id} {start.seed}").randrange(2**32),
            prompt_seed=self._prompt_seed(group, start.seed),
            rows=tuple(_given_to(row.plan_row, start.given) for row in scenarios),
            device=group.device,
            gpus=group.gpus,
            server=self._server(group, start.name) if group.serves else None,
            load_workers=setting.load_workers,
        )

    def _prompt_seed(self, group: Group, seed: str) -> int:
        """The one for ever where each launch has a server of its own, or none.

        One elsewhere is not started anew: it keeps what it computed of the prompts of every launch before, and a
        launch that sent them again would measure its cache.
        """
        if self._setting.remote is None:
            return _PROMPT_SEED
        return random.Random(f"{self._setting.seed} {group.id} {seed} prompts").randrange(2**32)

    def _server(self, group: Group, name: str) -> ServerPlan:
        """One that is to be started, or the one that is measured where it is."""
        setting = self._setting
        if setting.remote is not None:
            return ServerPlan(
                setting.remote.model, base_url=setting.remote.base_url, api_key_env=setting.remote.key_env
            )
        log = self._log(group, f"{name}-server")
        return ServerPlan(group.model, log=str(log or ""), tokenizer_dir=self._tokenizer_dir(group))

    def _tokenizer_dir(self, group: Group) -> str:
        """Of a service. A graph's folder holds no tokenizer; the checkpoint that it was made of does."""
        if not group.is_service:
            return ""
        setting, source = self._setting, self._setting.sources[group.shape]
        made = ensure(
            source, "transformers", "fp32", setting.cache_root, setting.builder, setting.isa, self._progress.say
        )
        return str(made.path)


def _given_to(row: PlanRow, given: Mapping[str, Any]) -> PlanRow:
    """With what is given of the sampling before the row's own, as before every setting."""
    if not row.asked.sampling:
        return row
    sampling = merged(row.asked.sampling, given.get("sampling", {}))
    return replace(row, asked=replace(row.asked, sampling=sampling))


def _has_users(scenarios: Sequence[Scenario]) -> bool:
    """Their rounds are as long as many others."""
    return any(row.traffic is not None and row.traffic.users is not None for row in scenarios)
