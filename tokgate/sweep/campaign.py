"""Makes the launches of a sweep one after another, each kept when it ends, until the schedule has no more."""

from __future__ import annotations

import time

from tokgate.errors import MeasurementError
from tokgate.launch import LaunchRecord
from tokgate.launcher import Progress, Start
from tokgate.report.units import duration
from tokgate.rootcause import in_a_line
from tokgate.sweep.opening import Bench
from tokgate.sweep.schedule import Next, left, next_launch, standings, time_left_s
from tokgate.sweep.store import Made, Store


class Campaign:
    """One sweep on its bench, with what its store holds by now."""

    def __init__(self, bench: Bench, store: Store, progress: Progress) -> None:
        self._bench = bench
        self._store = store
        self._progress = progress
        self._spec = bench.sweep.spec
        self.made = store.launches()

    @property
    def to_make(self) -> int:
        """Launches that are still to be made, if none is disturbed."""
        return sum(self._left().values())

    @property
    def time_left_s(self) -> float | None:
        groups = {each.scenario.id: each.scenario.group.id for each in self._bench.opened.candidates}
        return time_left_s(self._left(), self.made, groups)

    def run(self) -> None:
        """A setting that fails takes nothing from the others. KeyboardInterrupt loses the launch that it met."""
        while (step := self._next()) is not None:
            self._make(step)

    def retry(self) -> int:
        """Forgets what failed or could not be believed, so that it is made again; returns how many launches."""
        found = standings(self._bench.opened.candidates, self.made, self._spec.rounds)
        bad = {
            each.scenario.id
            for each in self._bench.opened.candidates
            if found[each.number].ruled_out or len(found[each.number].usable) < len(found[each.number].tried)
        }
        again = [made for made in self.made if bad & set(made.scenarios) and not self._is_sound(made)]
        self._store.forget(again)
        self.made = self._store.launches()
        return len(again)

    def _is_sound(self, made: Made) -> bool:
        """Whether every row of it can be believed."""
        if made.record is None:
            return False
        rounds = made.record.rounds
        return all(len(rounds.get(scenario, [])) >= self._spec.rounds for scenario in made.scenarios)

    def _next(self) -> Next | None:
        spec = self._spec
        return next_launch(self._bench.open_candidates, self.made, spec.launches, spec.rounds, self._bench.setting.seed)

    def _left(self) -> dict[str, int]:
        spec = self._spec
        return left(self._bench.open_candidates, self.made, spec.launches, spec.rounds)

    def _make(self, step: Next) -> None:
        bench = self._bench
        group = step.candidates[0].scenario.group
        number = self._store.next_number()
        records: list[LaunchRecord] = []
        start = Start(bench.setting.python, records, f"pass {step.pass_number}", f"launch {number}")
        scenarios = [each.scenario for each in step.candidates]
        started = time.monotonic()
        failed = None
        try:
            bench.launcher.run(self._title(step), group, scenarios, bench.artifacts[group.precision], [start])
        except MeasurementError as error:
            failed = str(error)
            names = ", ".join(map(str, step.candidates))
            self._progress.say(f"{names} failed, the others go on: {in_a_line(failed)}")
        made = Made(
            number,
            step.pass_number,
            tuple(each.id for each in scenarios),
            time.monotonic() - started,
            records[0] if records else None,
            failed,
        )
        self._store.add(made)
        self.made.append(made)

    def _title(self, step: Next) -> str:
        names = ", ".join(map(str, step.candidates[:2])) + (", ..." if len(step.candidates) > 2 else "")
        total = len(self.made) + self.to_make
        seconds = self.time_left_s
        time_left = "" if seconds is None else f", {duration(seconds)} left"
        return f"{names}: launch {len(self.made) + 1} of {total}{time_left}"
