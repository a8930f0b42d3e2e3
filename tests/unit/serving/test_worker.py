"""The process that measures a server, on a server that is scripted: every request counted, every fault told."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.needs import two_cores
from tests.unit.serving.fakes import fake_python
from tokgate.errors import MeasurementError
from tokgate.launch import LaunchRecord, Turns, run_launch
from tokgate.machine.watch import Watched, open_watch
from tokgate.plan import PLAN_SCHEMA, LaunchPlan, PlanRow, ServerPlan, Traffic
from tokgate.serving import worker
from tokgate.serving.crosscheck import BothClients, CrossCheck
from tokgate.serving.load import LoadResult
from tokgate.serving.vllm_cli import TOLD
from tokgate.serving.worker import ServingLaunch
from tokgate.stub.process import running

pytestmark = [pytest.mark.unit, two_cores]

TTFT_S, ITL_S = 0.020, 0.005
CLOSED = PlanRow("closed", 2, 5, 4, Traffic(6))
OPEN = PlanRow("open", 2, 5, 4, Traffic(6, open_share=0.5))
MIXED = PlanRow("mixed", 4, 50, 4, Traffic(8, "mixed"))


def plan_of(folder: Path, **change: Any) -> LaunchPlan:
    plan: dict[str, Any] = {
        "schema": PLAN_SCHEMA, "engine": "serve", "model_dir": str(folder), "vocab_size": 2000,
        "settings": {"enforce_eager": True}, "threads": 1, "rounds": 1, "repeats": 0, "order_seed": 0,
        "prompt_seed": 0, "rows": (CLOSED,), "measure_peaks": False, "silence_s": 100.0,
        "server": ServerPlan("m", log=str(folder / "logs" / "server.log")), **change,
    }  # fmt: skip
    return LaunchPlan(**plan)


def launch(
    folder: Path,
    *stub: str,
    before: str = "",
    on_round: Callable[[str], None] = lambda scenario: None,
    **change: Any,
) -> LaunchRecord:
    python = fake_python(folder, f"--ttft-ms={1e3 * TTFT_S:g}", f"--itl-ms={1e3 * ITL_S:g}", *stub, before=before)
    return run_launch(plan_of(folder, **change), python, on_round)


def test_every_row_is_measured_on_one_server_and_every_token_is_accounted_for(tmp_path: Path) -> None:
    record = launch(tmp_path, rows=(CLOSED, OPEN, MIXED))
    events = {event["scenario"]: event for event in record.events}
    assert set(events) == {"closed", "open", "mixed"}
    for row in (CLOSED, OPEN, MIXED):
        event = events[row.scenario]
        assert (event["prompt_tokens"], event["output_tokens"]) == (row.prompt_tokens, row.output_tokens)
        assert event["succeeded"] == row.requests
        assert event["figures"]["success_rate"] == 100
        # The stub is never early. What is late on a busy machine may be any message: the gaps between have no bound.
        assert event["figures"]["ttft"] >= TTFT_S
        assert event["figures"]["e2el"] >= TTFT_S + ITL_S * (row.output_len - 1)
    assert events["closed"]["peak_concurrency"] <= 2
    assert events["closed"]["rate"] is None
    assert events["open"]["rate"] > 0
    assert "short_ttft" in events["mixed"]["figures"]
    assert not record.unequal
    assert record.engine["client_cpus"] != record.engine["server_cpus"]
    assert (tmp_path / "logs" / "server.log").read_text().startswith("fake vLLM starts")


def test_what_its_server_says_it_chose_is_recorded(tmp_path: Path) -> None:
    told = {"environment": "VLLM_USE_FLASHINFER_SAMPLER=0", "async_scheduling": "False"}
    engine = launch(tmp_path, before=f"print({TOLD + json.dumps(told)!r}, flush=True)").engine
    assert {name: engine[name] for name in told} == told


def test_failed_requests_are_counted_by_kind_and_leave_no_figure(tmp_path: Path) -> None:
    record = launch(tmp_path, "--fault=3:503")
    assert record.unequal["closed"].startswith("1 of 6 requests failed: HTTP 5xx (1: HTTP 503")
    assert not record.rounds


def test_an_open_loop_is_not_believed_where_requests_failed_in_the_closed_one_that_gave_its_rate(
    tmp_path: Path,
) -> None:
    """The sixth request: two are to warm up, then six are the closed loop."""
    record = launch(tmp_path, "--fault=5:503", rows=(OPEN,))
    assert record.unequal["open"].startswith(
        "its rate is a share of what a closed loop found, in which 1 of 6 requests failed: HTTP 5xx"
    )
    assert not record.rounds


class Seen:
    """A watch that sees what it is told to, a load after the other, and then nothing."""

    def __init__(self, *disturbances: str | None) -> None:
        self._disturbances = list(disturbances)

    def settle(self) -> None: ...

    def start(self) -> None: ...

    def stop(self) -> Watched:
        return Watched({}, self._disturbances.pop(0) if self._disturbances else None)


@pytest.mark.parametrize(("repeats", "found"), [(2, ["others took 70%", None]), (0, ["others took 70%"])])
def test_the_closed_loop_that_gives_a_rate_is_watched_and_found_anew_while_repeats_are_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repeats: int, found: list[str | None]
) -> None:
    """Both rounds are at its rate: where it stays disturbed, neither counts."""
    # That is told too, see test_driven.py; here it depends on who else is on this machine.
    monkeypatch.setattr(LoadResult, "client_fault", lambda self: None)
    events: list[dict[str, Any]] = []
    rows = (OPEN, PlanRow("open80", 2, 5, 4, Traffic(6, open_share=0.8)))
    with running(f"--ttft-ms={1e3 * TTFT_S:g}", f"--itl-ms={1e3 * ITL_S:g}") as stub:
        plan = plan_of(tmp_path, rows=rows, repeats=repeats, server=ServerPlan("m", base_url=stub.url))
        measured = ServingLaunch(plan, events.append, Seen("others took 70%"))
        measured._load()
        for row in rows:
            measured._measure_until_quiet(0, row)
    told = [event["disturbed"] for event in events if event["event"] == "capacity"]
    assert [why and why.rpartition(", in which ")[2] for why in told] == found
    rounds = [(event["scenario"], event["disturbed"]) for event in events if event["event"] == "round"]
    assert rounds == [("open", told[-1]), ("open80", told[-1])]


@pytest.mark.parametrize("prefix", ["", "/prefix"])
def test_a_server_tells_of_itself_below_its_prefix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    watched: list[str] = []
    monkeypatch.setattr(worker, "MetricsWatch", lambda page: watched.append(page.url))
    plan = plan_of(tmp_path, server=ServerPlan("m", base_url=f"http://127.0.0.1:1{prefix}/v1"))
    ServingLaunch(plan, lambda event: None, Seen())._load()
    assert watched == [f"http://127.0.0.1:1{prefix}/metrics"]


def test_an_answer_that_is_shorter_than_asked_for_is_a_failure(tmp_path: Path) -> None:
    record = launch(tmp_path, "--fault=4:short")
    assert "1 of 6 requests failed: wrong number of tokens" in record.unequal["closed"]


def test_a_server_that_dies_ends_the_launch_with_its_last_words(tmp_path: Path) -> None:
    own = tmp_path / "pid"

    def kill(scenario: str) -> None:
        # Rounds that had ended before are heard after it is dead.
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(own.read_text()), signal.SIGKILL)

    with pytest.raises(
        MeasurementError, match=r"the serve worker failed: MeasurementError: the server died of SIGKILL"
    ):
        launch(tmp_path, rounds=100, on_round=kill, before=f"open({str(own)!r}, 'w').write(str(os.getpid()))")


def test_engine_settings_become_flags_of_the_server(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$@"\nexit 2\n')
    python.chmod(0o755)
    settings = {"enforce_eager": True, "enable_prefix_caching": False}
    plan = LaunchPlan(
        PLAN_SCHEMA, "serve", str(tmp_path), 2000, settings, 1, 1, 0, 0, 0, (CLOSED,), measure_peaks=False,
        server=ServerPlan("m"),
    )  # fmt: skip
    with pytest.raises(MeasurementError, match=r"--enforce-eager --no-enable-prefix-caching"):
        run_launch(plan, str(python), lambda scenario: None)


@pytest.mark.parametrize("order_seed", [0, 1])
def test_a_cross_check_that_is_measured_again_keeps_its_turn_and_sends_other_prompts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order_seed: int
) -> None:
    """The server keeps what it computed of the first time. Half of the launches begin with the other client."""
    row = PlanRow("both", 2, 5, 4, Traffic(6, both_clients=True))
    asked: list[tuple[int, int]] = []

    def run(self: BothClients, row: PlanRow, number: int, seed: int) -> CrossCheck:
        asked.append((number % 2, seed))
        return CrossCheck({}, None, "somebody else ran", 1.0)

    monkeypatch.setattr(BothClients, "run", run)
    server = ServerPlan("m", base_url="http://127.0.0.1:9")
    plan = plan_of(tmp_path, rows=(row,), server=server, rounds=2, repeats=1, order_seed=order_seed)
    measured = ServingLaunch(plan, lambda event: None, open_watch(plan))
    measured._load()
    for number in (0, 0, 1):
        measured._cross_check(number, row)
    assert [turn for turn, _ in asked] == [order_seed, order_seed, 1 - order_seed]
    prompts = {seed + whose for _, seed in asked for whose in (0, 1)}
    assert len(prompts) == 6


def test_a_server_imports_ahead_of_its_turn_and_is_ready_after_the_one_before_it_has_ended(tmp_path: Path) -> None:
    told = tmp_path / "told"
    before = f"""
from pathlib import Path
from tokgate.serving.vllm_cli import HOLD, hold
told = os.open({str(told)!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
if HOLD in os.environ:
    sys.argv = hold(Path(os.environ[HOLD]))
    os.write(told, b"goes on\\n")
"""
    python = fake_python(tmp_path, before=before)
    plans = [plan_of(tmp_path, order_seed=seed, in_turn=True) for seed in range(2)]

    def heard(scenario: str) -> None:
        with told.open("a") as file:
            file.write(f"{scenario}\n")

    with Turns([(plan, python, None) for plan in plans]) as turns:
        records = [run_launch(plan, python, heard, turns=turns) for plan in plans]
    assert told.read_text().split("\n") == ["goes on", "closed", "goes on", "closed", ""]
    assert [[event["succeeded"] for event in record.events] for record in records] == [[6], [6]]


def test_a_server_that_ends_while_it_imports_fails_in_its_turn(tmp_path: Path) -> None:
    python = fake_python(tmp_path, before="print('no such library'); sys.exit(3)")
    plan = plan_of(tmp_path, in_turn=True)
    with Turns([(plan, python, None)]) as turns, pytest.raises(MeasurementError, match="no such library"):
        run_launch(plan, python, lambda scenario: None, turns=turns)
