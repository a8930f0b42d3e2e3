"""The process that measures a server: `python -m tokgate.serving.worker PLAN` starts one and drives a launch's loads.

It runs in tokgate's own interpreter, whatever interpreter serves, so that a reference and its candidate have the same
client. Its events are those of tokgate/worker.py; a round is one load, and holds beside what is said there

    figures   metric -> value
    fault     why its work was not what was planned, if so: failed requests, or other numbers of tokens
    client    how well the load client kept up
    server    what the server told of itself meanwhile
    rate      requests a second of an open loop

and while a load runs there are events `progress`, so that a long one is not taken for a hang.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from tokgate.child import Emit, Event, await_parent
from tokgate.machine.cpus import usable_cpus
from tokgate.machine.gpumemory import await_free
from tokgate.machine.memory import family_peak_rss_bytes, reset_family_peak_rss
from tokgate.machine.nvml import driver_session, visible_devices
from tokgate.machine.watch import Watch, open_watch
from tokgate.plan import LaunchPlan, PlanRow
from tokgate.scenario import SERVE
from tokgate.serving.client import LoadProgress, run_load
from tokgate.serving.cores import confined_to, divide
from tokgate.serving.crosscheck import BothClients
from tokgate.serving.driven import (
    Capacity,
    Driven,
    by_both_clients,
    by_one_client,
    by_users,
    capacity_of,
    closed_loop_of,
)
from tokgate.serving.figures import costs_of, queue_of
from tokgate.serving.generate_server import PATH as GENERATE_PATH
from tokgate.serving.generate_server import ServedText, ask_once, generate_command
from tokgate.serving.load import Load, LoadResult
from tokgate.serving.remote import target_of
from tokgate.serving.served_model import ServedModel
from tokgate.serving.server import Server, ServerCommand, free_port, told_after
from tokgate.serving.server_metrics import MetricsWatch
from tokgate.serving.traffic import PATH, WARMUP_TOKENS, Loads
from tokgate.serving.users.planned import crowd_of
from tokgate.serving.vllm_server import server_command
from tokgate.worker import Launch
from tokgate.workerprocess import run_worker

_PROGRESS_S = 20.0
# Of the time in which the worker has to report something: the server's start has to be over before.
_START_SHARE = 0.9


class ServingLaunch(Launch):
    """One server, started once, measured under every row of its plan. `held`: its process, where that waits already,
    `imported_s` after it was begun."""

    def __init__(
        self, plan: LaunchPlan, emit: Emit, watch: Watch, imported_s: float = 0.0, held: Server | None = None
    ) -> None:
        super().__init__(plan, emit, watch, imported_s)
        self._waiting = held
        assert plan.server is not None, "a launch that serves has a server"
        if plan.inflate:
            raise ValueError("a server cannot be made to work more than it is credited: inflate is for offline engines")
        self._server = plan.server
        self._held = ExitStack()
        self._process: Server | None = None
        shared = plan.device == "cpu" and not self._server.base_url
        self._cores = divide(usable_cpus(), max(1, plan.load_workers)) if shared else None
        self._client_cpus = self._cores.client if self._cores else None
        self._capacities: dict[PlanRow, Capacity] = {}
        self._heard_s = 0.0

    def run(self) -> None:
        """Whatever happens, the server is down afterwards, and its GPU memory free."""
        with self._held:
            super().run()

    def _load(self) -> ServedModel | ServedText:
        self._base_url = self._server.base_url or self._start()
        path = PATH if self._plan.engine == SERVE else GENERATE_PATH
        self._target = target_of(self._base_url, path, self._server.api_key_env, os.environ)
        self._metrics = MetricsWatch(self._target.beside("/metrics"))
        # Where it has a core of its own, that is one.
        self._loads = Loads(self._plan, self._target, len(usable_cpus()) if self._cores is None else 1)
        facts = {"prompts": "token ids: the server tokenises nothing"}
        if self._cores is not None:
            cores = self._cores
            facts |= _listed(server_cpus=cores.server, client_cpus=cores.client, shared_with_client=cores.shared)
        if self._plan.engine != SERVE:
            return ServedText(self._target, facts)
        return ServedModel(self._target, self._server.model, self._process.log if self._process else None, facts)

    def _start(self) -> str:
        plan = self._plan
        if plan.device == "gpu":
            self._held.push(self._await_free_gpus)
        if self._waiting is not None:
            self._process = self._waiting
            self._held.push(self._process)
            self._process.go_on()
        else:
            command = _command(plan, self._folder(), self._cores.server if self._cores else None)
            self._process = self._held.enter_context(Server(command))
        self._process.wait_ready(_START_SHARE * plan.silence_s)
        return self._process.base_url

    def _await_free_gpus(self, kind: object, error: BaseException | None, trace: object) -> None:
        """What an orphan of the server holds, the next launch does not get. Raises TokgateError."""
        with told_after(error), driver_session() as nvml:
            await_free(nvml, visible_devices(nvml, os.environ)[: self._plan.gpus], when="after the server ended")

    def _check_accuracy(self) -> None:
        if not isinstance(self._engine, ServedText):
            super()._check_accuracy()
        elif self._engine.accuracy is not None:
            self._emit({"event": "accuracy", **self._engine.accuracy})

    def _warm_up(self) -> None:
        for row in self._plan.rows:
            if self._plan.engine != SERVE:
                ask_once(self._target, [1] * row.prompt_len, min(WARMUP_TOKENS, row.output_len))
                continue
            self._run(self._loads.to_warm_up(row))
            self._check_server()
        self._watch.settle()

    def _measure(self, number: int, row: PlanRow) -> Event:
        assert row.traffic is not None
        has_users = row.traffic.users is not None
        capacity = self._capacity(row)
        load = self._load_of(number, row, capacity)
        reset_family_peak_rss()
        self._watch.start()
        self._metrics.start()
        if has_users:
            driven = self._crowd(row)
        else:
            driven = self._drive(row, load, capacity) if load is not None else self._cross_check(number, row)
        used = self._metrics.stop()
        watched = self._watch.stop()
        # Locust's processes are no part of what it costs to serve.
        own = self._process.peak_rss_bytes() if has_users and self._process is not None else None
        peak_bytes = family_peak_rss_bytes() if own is None else own
        started_here = self._process is not None and not row.traffic.both_clients
        costs = costs_of(watched.figures, driven.told, peak_bytes) if started_here else {}
        return {
            "event": "round",
            "scenario": row.scenario,
            "round": number,
            "total_s": driven.total_s,
            "figures": {**driven.figures, **queue_of(used), **costs},
            "fault": driven.fault,
            **driven.told,
            "server": used and asdict(used),
            "peak_rss_bytes": peak_bytes,
            **watched.figures,
            "disturbed": driven.doubts(watched.disturbed, row.traffic, self._plan.device),
        }

    def _load_of(self, number: int, row: PlanRow, capacity: Capacity | None) -> Load | None:
        """None where two commands make loads of their own, or users."""
        assert row.traffic is not None
        if row.traffic.both_clients or row.traffic.users is not None:
            return None
        return self._loads.of_round(number, row, capacity.share_of(row) if capacity else None)

    def _drive(self, row: PlanRow, load: Load, capacity: Capacity | None) -> Driven:
        result = self._run(load)
        self._check_server()
        return by_one_client(row, load.requests, result, capacity)

    def _cross_check(self, number: int, row: PlanRow) -> Driven:
        model, model_dir = self._server.model, self._plan.model_dir
        page = self._target.beside("/metrics")
        clients = BothClients(self._server.python, self._base_url, model, model_dir, self._folder(), page)
        # Whose the first load on a fresh server is, is a coin's choice; and a round that is measured again is sent
        # other prompts.
        turn, seed = self._plan.order_seed + number, self._loads.seed(row, "cross-check")
        with confined_to(self._client_cpus):
            found = clients.run(row, turn, seed)
        self._check_server()
        return by_both_clients(row, found)

    def _crowd(self, row: PlanRow) -> Driven:
        folder, seed = self._folder(), self._loads.seed(row, "texts")
        crowd = crowd_of(self._plan, row, self._base_url, self._client_cpus, seed)
        return by_users(crowd.run(folder, self._look), self._plan.load_workers)

    def _folder(self) -> Path:
        """Another one, which is there for as long as the launch."""
        return Path(self._held.enter_context(tempfile.TemporaryDirectory()))

    def _look(self) -> None:
        self._check_server()
        self._tell_progress()

    def _capacity(self, row: PlanRow) -> Capacity | None:
        """Of an open loop, whose rate is a share of what the server carries of such requests in a closed one.

        Found once a launch; while the launch has repeats left, until nothing disturbed it.
        """
        if row.traffic is None or row.traffic.open_share is None:
            return None
        closed = closed_loop_of(row)
        found = self._capacities.get(closed) or self._find_capacity(row)
        while found.doubt is not None and self._repeats_left > 0:
            self._repeats_left -= 1
            found = self._find_capacity(row)
        self._capacities[closed] = found
        return found

    def _find_capacity(self, row: PlanRow) -> Capacity:
        """Watched as a round is: a server that was held up carries less, and each round after is too easy."""
        load = self._loads.at_capacity(row)
        self._watch.start()
        result = self._run(load)
        watched = self._watch.stop()
        self._check_server()
        found = capacity_of(row, load.requests, result, watched.disturbed)
        if found.doubt is not None:
            self._discarded_s += result.duration_s
        self._emit(
            {
                "event": "capacity",
                "scenario": row.scenario,
                "requests_per_s": found.requests_per_s,
                "disturbed": found.doubt,
            }
        )
        return found

    def _run(self, load: Load) -> LoadResult:
        with confined_to(self._client_cpus):
            return run_load(load, self._tell)

    def _tell(self, progress: LoadProgress) -> None:
        self._tell_progress(done=progress.done, total=progress.total)

    def _tell_progress(self, **told: int) -> None:
        now_s = time.monotonic()
        if now_s - self._heard_s > _PROGRESS_S:
            self._heard_s = now_s
            self._emit({"event": "progress", **told})

    def _check_server(self) -> None:
        if self._process is not None:
            self._process.check()


def _command(plan: LaunchPlan, folder: Path, cpus: frozenset[int] | None) -> ServerCommand:
    """Of the plan's server, whose log goes into `folder` unless the plan says where."""
    assert plan.server is not None
    log = Path(plan.server.log or folder / "server.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    make = server_command if plan.engine == SERVE else generate_command
    return make(plan, free_port(), log, cpus)


def _listed(**cpus: frozenset[int]) -> dict[str, str]:
    return {name: ",".join(map(str, sorted(numbers))) for name, numbers in cpus.items() if numbers}


def measure(plan: LaunchPlan, emit: Emit) -> None:
    if not plan.in_turn:
        ServingLaunch(plan, emit, open_watch(plan)).run()
        return
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, Server(_command(plan, Path(folder), None), hold=Path(folder)) as held:
        held.wait_imported(_START_SHARE * plan.silence_s)
        imported_s = time.perf_counter() - started
        emit({"event": "imported"})
        await_parent()
        ServingLaunch(plan, emit, open_watch(plan), imported_s, held).run()


def main(argv: list[str]) -> int:
    # Beside the plan, where they go with it: whoever kills a worker leaves it no time to clear up.
    tempfile.tempdir = str(Path(argv[0]).resolve().parent) if argv else None
    return run_worker("tokgate.serving.worker PLAN", argv, measure)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
