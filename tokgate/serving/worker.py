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

import json
import os
import sys
import tempfile
import time
import zlib
from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tokgate.child import Emit, Event, child_events
from tokgate.generate.codec import Codec
from tokgate.machine.cpus import usable_cpus
from tokgate.machine.gpumemory import await_free
from tokgate.machine.memory import family_peak_rss_bytes, reset_family_peak_rss
from tokgate.machine.nvml import driver_session, visible_devices
from tokgate.machine.watch import Watch, open_watch
from tokgate.plan import LaunchPlan, PlanRow, Users
from tokgate.scenario import SERVE
from tokgate.serving.arrivals import arrivals
from tokgate.serving.client import LoadProgress, run_load
from tokgate.serving.cores import confined_to, divide
from tokgate.serving.crosscheck import BothClients
from tokgate.serving.figures import costs_of, figures_of, load_fault, queue_of, work_of
from tokgate.serving.generate_server import PATH as GENERATE_PATH
from tokgate.serving.generate_server import ServedText, ask_once, generate_command
from tokgate.serving.load import Load, LoadResult
from tokgate.serving.remote import target_of
from tokgate.serving.served_model import ServedModel
from tokgate.serving.server import Server, free_port
from tokgate.serving.server_metrics import MetricsWatch
from tokgate.serving.traffic import PATH, requests_of
from tokgate.serving.users.crowd import Crowd
from tokgate.serving.users.tally import locust_fault, tally, told
from tokgate.serving.users.texts import texts_of
from tokgate.serving.vllm_server import server_command
from tokgate.worker import Launch, show_gpus

_WARMUP_TOKENS = 8
_TEXTS = 500
_PROGRESS_S = 20.0
# One client process keeps up with so many streams of a fast server; where there are cores for more, more are started.
_STREAMS_PER_PROCESS = 100
_CORES_PER_PROCESS = 4
# Of the time in which the worker has to report something: the server's start has to be over before.
_START_SHARE = 0.9


@dataclass(frozen=True)
class Driven:
    """One round's load. `fault`: why its work was not what was planned; `late`: why the client may be what was
    measured; `told`: what else goes into the round's event, its tokens among it."""

    total_s: float
    figures: dict[str, float]
    fault: str | None
    late: str | None
    told: dict[str, Any]


class ServingLaunch(Launch):
    """One server, started once, measured under every row of its plan."""

    def __init__(self, plan: LaunchPlan, emit: Emit, watch: Watch) -> None:
        super().__init__(plan, emit, watch)
        assert plan.server is not None, "a launch that serves has a server"
        if plan.inflate:
            raise ValueError("a server cannot be made to work more than it is credited: inflate is for offline engines")
        self._server = plan.server
        self._held = ExitStack()
        self._process: Server | None = None
        shared = plan.device == "cpu" and not self._server.base_url
        self._cores = divide(usable_cpus(), max(1, plan.load_workers)) if shared else None
        self._loads: Counter[str] = Counter()
        self._found_rates: dict[tuple[int, int, int], float] = {}
        self._heard_s = 0.0

    def run(self) -> None:
        """Whatever happens, the server is down afterwards, and its GPU memory free."""
        with self._held:
            super().run()

    def _load(self) -> ServedModel | ServedText:
        self._base_url = self._server.base_url or self._start()
        path = PATH if self._plan.engine == SERVE else GENERATE_PATH
        self._target = target_of(self._base_url, path, self._server.api_key_env, os.environ)
        self._metrics = MetricsWatch(replace(self._target, path="/metrics"))
        facts = {"prompts": "token ids: the server tokenises nothing"}
        if self._cores is not None:
            facts |= {"server_cpus": _listed(self._cores.server), "client_cpus": _listed(self._cores.client)}
        if self._plan.engine != SERVE:
            return ServedText(self._target, facts)
        return ServedModel(self._target, self._server.model, self._process.log if self._process else None, facts)

    def _start(self) -> str:
        plan = self._plan
        if plan.device == "gpu":
            self._held.callback(_await_free_gpus, plan.gpus)
        log = Path(self._server.log or self._held.enter_context(tempfile.TemporaryDirectory()) + "/server.log")
        log.parent.mkdir(parents=True, exist_ok=True)
        make = server_command if plan.engine == SERVE else generate_command
        command = make(plan, free_port(), log, self._cores.server if self._cores else None)
        self._process = self._held.enter_context(Server(command))
        self._process.wait_ready(_START_SHARE * plan.silence_s)
        return self._process.base_url

    def _check_accuracy(self) -> None:
        if not isinstance(self._engine, ServedText):
            super()._check_accuracy()
        elif self._engine.accuracy is not None:
            self._emit({"event": "accuracy", **self._engine.accuracy})

    def _warm_up(self) -> None:
        for row in self._plan.rows:
            if self._plan.engine != SERVE:
                ask_once(self._target, [1] * row.prompt_len, min(_WARMUP_TOKENS, row.output_len))
                continue
            requests = self._requests(row, self._seed(row, "warm-up"), min(_WARMUP_TOKENS, row.output_len))
            self._run(Load(self._target, requests[: row.batch], row.batch))
            self._check_server()
        self._watch.settle()

    def _measure(self, number: int, row: PlanRow) -> Event:
        assert row.traffic is not None
        users = row.traffic.users
        load = self._load_of(number, row)
        reset_family_peak_rss()
        self._watch.start()
        self._metrics.start()
        if users is not None:
            driven = self._crowd(row, users)
        else:
            driven = self._drive(row, load) if load is not None else self._cross_check(number, row)
        used = self._metrics.stop()
        watched = self._watch.stop()
        # Locust's processes are no part of what it costs to serve.
        own = self._process.peak_rss_bytes() if users is not None and self._process is not None else None
        peak_bytes = family_peak_rss_bytes() if own is None else own
        started_here = self._process is not None and not row.traffic.both_clients
        costs = costs_of(watched.figures, driven.told, peak_bytes) if started_here else {}
        # Measured again, requests that failed would still have failed. On CPUs the two clients are told and not judged,
        # and each command takes half a minute to start.
        is_final = driven.fault is not None or (row.traffic.both_clients and self._plan.device == "cpu")
        disturbed = [] if is_final else [watched.disturbed, driven.late]
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
            "disturbed": "; ".join(each for each in disturbed if each) or None,
        }

    def _load_of(self, number: int, row: PlanRow) -> Load | None:
        """None where two commands make loads of their own, or users."""
        assert row.traffic is not None
        if row.traffic.both_clients or row.traffic.users is not None:
            return None
        rate = self._rate(row)
        requests = self._requests(row, self._seed(row, number))
        starts_s = arrivals(len(requests), rate, seed=self._plan.prompt_seed + number) if rate else None
        return Load(self._target, requests, None if rate else row.batch, starts_s, processes=self._processes(row))

    def _drive(self, row: PlanRow, load: Load) -> Driven:
        result = self._run(load)
        self._check_server()
        told = {**work_of(result), "client": asdict(result.health), "rate": self._rate(row)}
        fault = load_fault(row, load.requests, result)
        figures = figures_of(row, load.requests, result) if fault is None else {}
        return Driven(result.duration_s, figures, fault, result.client_fault(), told)

    def _cross_check(self, number: int, row: PlanRow) -> Driven:
        folder = Path(self._held.enter_context(tempfile.TemporaryDirectory()))
        model_dir = self._plan.model_dir
        clients = BothClients(self._server.python, self._base_url, self._server.model, model_dir, folder)
        with confined_to(self._cores.client if self._cores else None):
            found = clients.run(row, number)
        self._check_server()
        # Both commands were held to them.
        tokens = {"prompt_tokens": row.prompt_tokens, "output_tokens": row.output_tokens}
        return Driven(found.total_s, found.figures, found.fault, found.doubt, tokens)

    def _processes(self, row: PlanRow) -> int:
        """Of the load client. Where it has a core of its own, that is one."""
        if self._cores is not None:
            return 1
        return max(1, min(row.batch // _STREAMS_PER_PROCESS, len(usable_cpus()) // _CORES_PER_PROCESS))

    def _crowd(self, row: PlanRow, users: Users) -> Driven:
        folder = Path(self._held.enter_context(tempfile.TemporaryDirectory()))
        crowd = Crowd(
            users,
            count=row.batch,
            base_url=self._base_url,
            prompt_tokens=row.prompt_len,
            output_tokens=row.output_len,
            vocab_size=self._plan.vocab_size,
            model=self._server.model if self._plan.engine == SERVE else "",
            prompts=self._texts(row, folder) if users.api == "chat" else None,
            key_env=self._server.api_key_env,
            workers=self._plan.load_workers,
            cpus=self._cores.client if self._cores else None,
        )
        test = crowd.run(folder, self._look)
        found = tally(test.requests)
        fault = found.fault()
        figures = found.figures() if fault is None else {}
        late = locust_fault(test.processes, expected=max(1, self._plan.load_workers))
        return Driven(found.duration_s, figures, fault, late, told(test, found))

    def _texts(self, row: PlanRow, folder: Path) -> Path:
        """Texts of exactly the row's tokens, by the served model's tokenizer."""
        path = folder / "prompts.json"
        codec = Codec(Path(self._plan.model_dir))
        path.write_text(json.dumps(texts_of(codec, row.prompt_len, _TEXTS, self._seed(row, "texts"))), "utf-8")
        return path

    def _look(self) -> None:
        self._check_server()
        self._tell_progress()

    def _rate(self, row: PlanRow) -> float | None:
        """Of an open loop: requests a second, a share of what the server carries of such requests in a closed one."""
        if row.traffic is None or row.traffic.open_share is None:
            return None
        shape = row.batch, row.prompt_len, row.output_len
        if shape not in self._found_rates:
            requests = self._requests(row, self._seed(row, "capacity"))
            result = self._run(Load(self._target, requests, row.batch, processes=self._processes(row)))
            self._check_server()
            self._found_rates[shape] = len(result.successes) / result.duration_s
            self._emit({"event": "capacity", "scenario": row.scenario, "requests_per_s": self._found_rates[shape]})
        if not self._found_rates[shape]:
            raise ValueError(
                f"{row.scenario}: no request succeeded in a closed loop, so there is no rate to take a share of"
            )
        return row.traffic.open_share * self._found_rates[shape]

    def _requests(self, row: PlanRow, seed: int, output_len: int | None = None) -> list[Any]:
        sampling = self._plan.settings.get("sampling", {})
        return requests_of(row, self._server.model, self._plan.vocab_size, seed, sampling, output_len)

    def _run(self, load: Load) -> LoadResult:
        with confined_to(self._cores.client if self._cores else None):
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

    def _seed(self, row: PlanRow, occasion: object) -> int:
        """Another one for each load of a launch, and the same in every launch: no prompt comes twice to a server."""
        name = f"{row.batch} {row.prompt_len} {row.output_len} {row.traffic} {occasion}"
        self._loads[name] += 1
        return self._plan.prompt_seed + zlib.crc32(f"{name} {self._loads[name]}".encode())


def _await_free_gpus(count: int) -> None:
    """What an orphan of the server holds, the next launch does not get. Raises MeasurementError."""
    with driver_session() as nvml:
        await_free(nvml, visible_devices(nvml, os.environ)[:count], when="after the server ended")


def _listed(cpus: frozenset[int]) -> str:
    return ",".join(map(str, sorted(cpus)))


def main(argv: list[str]) -> int:
    if len(argv) != 1:
        print("usage: python -m tokgate.serving.worker PLAN", file=sys.stderr)
        return 2
    emit = child_events()
    try:
        plan = LaunchPlan.read(Path(argv[0]))
        if plan.device == "gpu" and not (plan.server and plan.server.base_url):
            show_gpus(plan.gpus, os.environ)
        ServingLaunch(plan, emit, open_watch(plan)).run()
    except Exception as error:
        emit({"event": "error", "message": f"{type(error).__name__}: {error}"})
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
