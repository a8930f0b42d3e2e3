"""Locust for real: what its users see is what servers did, in one process or in several, and over a server's death."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.unit.generate.scripted import VOCAB_SIZE, running
from tokgate.errors import MeasurementError
from tokgate.generate.codec import Codec
from tokgate.plan import Api, Users
from tokgate.serving.server import Server, ServerCommand, free_port
from tokgate.serving.users import crowd as crowds
from tokgate.serving.users.asking import Prompts
from tokgate.serving.users.crowd import Crowd
from tokgate.serving.users.tally import LoadTest, tally
from tokgate.serving.users.texts import Texts
from tokgate.stub.process import running as running_stub

pytestmark = pytest.mark.unit

COUNT = 4


def users(api: Api = "completions", stream: bool = True, seconds: float = 1.5) -> Users:
    return Users(api, stream, spawn_per_s=100.0, think_s=(0.0, 0.05), seconds=seconds)


def crowd(url: str, who: Users, **changes: Any) -> Crowd:
    settings = {"prompt_tokens": 7, "output_tokens": 5, "vocab_size": VOCAB_SIZE, "drain_s": 20.0, **changes}
    return Crowd(who, COUNT, url, **settings)


def truth(url: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{url}/truth", timeout=20) as answer:
        told: list[dict[str, Any]] = json.load(answer)["requests"]
    return told


@pytest.mark.parametrize(
    ("api", "stream"), [("completions", True), ("completions", False), ("chat", True), ("chat", False)]
)
def test_every_answer_is_told_once(tmp_path: Path, api: Api, stream: bool) -> None:
    with running_stub("--ttft-ms=5", "--itl-ms=2") as stub:
        test = crowd(stub.url, users(api, stream)).run(tmp_path)
        asked = truth(stub.url)
    found = tally(test.requests)
    assert found.failed == 0
    assert found.succeeded == sum(request["ended_well"] for request in asked) > COUNT
    assert {request["stream"] for request in asked} == {stream}
    assert found.output_tokens == 5 * found.succeeded
    assert len(found.times_s["ttft"]) == (found.succeeded if stream else 0)
    assert "gevent" not in sys.modules, "Locust patches whatever process it is in"


def test_the_time_of_a_streamed_answer_is_that_of_its_last_token(tmp_path: Path) -> None:
    """100 ms to the first of five and 50 between them: headers are there at once, the whole after 300."""
    with running_stub("--ttft-ms=100", "--itl-ms=50") as stub:
        found = tally(crowd(stub.url, users()).run(tmp_path).requests)
    assert min(found.times_s["e2el"]) >= 0.3
    assert min(found.times_s["ttft"]) >= 0.1
    assert all(ttft_s < e2el_s for ttft_s, e2el_s in zip(found.times_s["ttft"], found.times_s["e2el"], strict=True))


# As among a thousand users: Locust kills one as he thinks, and by the time it comes to that he has asked.
KILLING_LATE = """
import gevent
from tokgate.serving.locustfile import *
def stop(self, force=False):
    gevent.sleep(2)
    self.group.killone(self.greenlet)
    return True
StreamedCompletions.stop = stop
"""


def test_what_is_asked_as_users_are_stopped_is_no_request_without_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much longer it waited than the quickest answer took, which here is a tenth of the mean."""
    (tmp_path / "killing.py").write_text(KILLING_LATE)
    monkeypatch.setattr(crowds, "_LOCUSTFILE", tmp_path / "killing.py")
    with running_stub("--ttft-ms=400", "--ttft-jitter=uniform:0.9", "--itl-ms=2") as stub:
        test = crowd(stub.url, users(seconds=2.0)).run(tmp_path)
    left = [request for request in test.requests if request.unfinished]
    assert left
    assert all(request.after_end and request.e2el_s < 2 for request in left)
    assert tally(test.requests).fault() is None


# A test that ends at 100 s and lets those wait for 2 s who wait; `asked`: when each asked, and for how long he waited.
ASKED_AROUND_THE_END = """
import json, pathlib, sys, types
from tokgate.serving.users import recording
clock = types.SimpleNamespace(now_s=100.0)
clock.time = lambda: clock.now_s
recording.time = clock
ignored = types.SimpleNamespace(add_listener=lambda listener: None)
events = types.SimpleNamespace(test_start=ignored, test_stopping=ignored, test_stop=ignored, quitting=ignored)
environment = types.SimpleNamespace(runner=None, events=events, stop_timeout=2.0)
recorder = recording.Recorder(environment, pathlib.Path("unused"), 0.0)
recorder._note_end()
for asked_s, waited_s in json.loads(sys.argv[1]):
    clock.now_s = asked_s + waited_s
    recorder.add_unfinished(asked_s)
print(json.dumps([request["after_end"] for request in recorder._requests]))
"""


def test_who_asked_after_the_end_and_was_let_wait_in_vain_is_without_an_answer() -> None:
    """A server that hangs from the end on is not hidden by those whom Locust kills as they think."""
    asked = {(99.9, 0.5): False, (100.0, 0.05): True, (100.02, 1.9): True, (100.02, 2.0): False, (100.02, 2.1): False}
    done = subprocess.run(
        [sys.executable, "-c", ASKED_AROUND_THE_END, json.dumps(list(asked))],
        capture_output=True, text=True, timeout=60.0, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout) == list(asked.values())


def test_whom_the_server_leaves_waiting_beyond_the_end_makes_the_test_no_measurement(tmp_path: Path) -> None:
    with running_stub("--ttft-ms=5", "--itl-ms=2", "--fault=20-21:stall") as stub:
        test = crowd(stub.url, users(seconds=1.0), drain_s=1.0).run(tmp_path)
    left = [request for request in test.requests if request.unfinished and request.e2el_s >= 1.0]
    assert [request.after_end for request in left] == [False, False]
    assert "2 requests had no answer" in str(tally(test.requests).fault())


def test_failures_are_those_that_the_server_made(tmp_path: Path) -> None:
    """Of each kind as many as it says it made."""
    kinds = {"reset": 5, "503": 7, "error-message": 9, "short": 11, "cut": 13}
    faults = [f"--fault=every:{every}:{kind}" for kind, every in kinds.items()]
    with running_stub("--ttft-ms=5", "--itl-ms=2", *faults) as stub:
        found = tally(crowd(stub.url, users(seconds=3.0)).run(tmp_path).requests)
        asked = truth(stub.url)
    made = Counter(request["fault"].split(":")[0] for request in asked if request["fault"])
    assert made.keys() == kinds.keys()
    assert found.failures == {
        "connection lost": made["reset"] + made["cut"],
        "HTTP 5xx": made["503"],
        "error inside the stream": made["error-message"],
        "wrong number of tokens": made["short"],
    }
    assert found.succeeded == sum(request["ended_well"] for request in asked)


# As if the users had a fault of their own: the third request of each ends in an exception that nobody foresaw.
SLIPPING = """
from tokgate.serving.locustfile import *
from tokgate.serving.users.connection import UserConnection
ask = UserConnection.ask
def slip(self, request):
    self.asked = getattr(self, "asked", 0) + 1
    if self.asked == 3:
        raise ZeroDivisionError("a slip")
    return ask(self, request)
UserConnection.ask = slip
"""
# As after an exception in a greenlet that Locust gave up.
FAILING = """
from locust import events
from tokgate.serving.locustfile import *
events.quitting.add_listener(lambda environment, **named: setattr(environment, "process_exit_code", 2))
"""


def test_a_request_that_ends_in_a_fault_of_the_users_is_a_failure_and_not_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Locust logs it and asks on; it would be in no count, and the others would be all there is."""
    (tmp_path / "slipping.py").write_text(SLIPPING)
    monkeypatch.setattr(crowds, "_LOCUSTFILE", tmp_path / "slipping.py")
    with running_stub("--ttft-ms=5", "--itl-ms=2") as stub:
        found = tally(crowd(stub.url, users()).run(tmp_path).requests)
    assert found.failures == {"malformed answer": COUNT}
    assert found.details == {"malformed answer": "ZeroDivisionError: a slip"}


# Every body that is sent, a line each.
NOTING = """
from tokgate.serving.locustfile import *
from tokgate.serving.users.connection import UserConnection
ask = UserConnection.ask
def note(self, request):
    with open({path!r}, "ab") as file:
        file.write(request.body + b"\\n")
    return ask(self, request)
UserConnection.ask = note
"""


def test_no_user_of_any_process_says_in_a_chat_what_was_said_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server with prefix caching would know it. What is said is that of the seed."""
    (tmp_path / "noting.py").write_text(NOTING.format(path=str(tmp_path / "bodies")))
    monkeypatch.setattr(crowds, "_LOCUSTFILE", tmp_path / "noting.py")
    # Here, so that collecting tests loads none of it.
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({f"w{number}": number for number in range(1000)}, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    with running_stub("--ttft-ms=5", "--itl-ms=2") as stub:
        asking = crowd(stub.url, users("chat", seconds=3.0), workers=2, tokenizer=tmp_path, seed=3)
        found = tally(asking.run(tmp_path).requests)
    bodies = [json.loads(line) for line in (tmp_path / "bodies").read_bytes().splitlines()]
    said = [body["messages"][0]["content"] for body in bodies]
    assert len(said) >= found.succeeded > 4 * COUNT
    assert len(set(said)) == len(said)
    assert {len(text.split()) for text in said} == {7}
    texts = Texts(Codec(tmp_path), 7)
    first = {Prompts(7, 0, f"3 {worker} {user}", texts).next()[0] for worker in (0, 1) for user in (0, 1)}
    assert first <= set(said)


def test_a_locust_that_failed_is_not_believed_whatever_it_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "failing.py").write_text(FAILING)
    monkeypatch.setattr(crowds, "_LOCUSTFILE", tmp_path / "failing.py")
    with running_stub("--ttft-ms=5", "--itl-ms=2") as stub, pytest.raises(MeasurementError, match="status 2"):
        crowd(stub.url, users()).run(tmp_path)
    assert (tmp_path / "requests.json").exists()


def test_a_master_and_two_workers_tell_what_the_server_saw(tmp_path: Path) -> None:
    """Locust's own sums leave out what its workers had in hand at the end; these do not."""
    with running_stub("--ttft-ms=5", "--itl-ms=2") as stub:
        test = crowd(stub.url, users(seconds=3.0), workers=2).run(tmp_path)
        asked = truth(stub.url)
    found = tally(test.requests)
    assert found.failed == 0
    assert found.succeeded == sum(request["ended_well"] for request in asked) > COUNT
    assert len({process.name for process in test.processes}) == 2


def test_generate_is_asked_too(tmp_path: Path) -> None:
    with running() as service:
        test = crowd(f"http://127.0.0.1:{service.port}", users("generate", False)).run(tmp_path)
        answered = service.metric('tokgate_generate_requests_total{status="200"}')
    found = tally(test.requests)
    assert (found.failed, found.succeeded) == (0, answered)
    assert found.prompt_tokens == 7 * answered
    assert all(len(prompt) == 7 for call in service.engine.calls for prompt in call)


def test_a_server_that_is_killed_and_comes_again_costs_the_requests_that_it_had(tmp_path: Path) -> None:
    """Those on their way when it died and those that found nobody failed; all before and all after succeeded."""
    port = free_port()
    argv = [sys.executable, "-m", "tokgate", "stub-server", f"--port={port}", "--ttft-ms=50", "--itl-ms=20"]
    url = f"http://127.0.0.1:{port}"
    at: dict[str, float] = {}
    tests: list[LoadTest] = []

    def load() -> None:
        tests.append(crowd(url, users(seconds=6.0)).run(tmp_path))

    loading = threading.Thread(target=load)
    with Server(ServerCommand(argv, port, tmp_path / "first.log"), term_s=0.0) as first:
        first.wait_ready(20)
        loading.start()
        while sum(request["ended_well"] for request in truth(url)) < 2 * COUNT:
            time.sleep(0.02)
        at["before"] = time.time()
    at["dead"] = time.time()
    with Server(ServerCommand(argv, port, tmp_path / "second.log")) as second:
        second.wait_ready(20)
        at["again"] = time.time()
        loading.join(60)
        assert not loading.is_alive()
        assert second.peak_rss_bytes() > 1e6
    (test,) = tests
    assert {request.failure for request in test.requests} <= {None, "connection lost", "connection refused"}
    ended = [request for request in test.requests if not request.unfinished]
    before = [request for request in ended if request.sent_at + request.e2el_s < at["before"]]
    without = [request for request in ended if request.sent_at < at["dead"] < request.sent_at + request.e2el_s]
    after = [request for request in ended if request.sent_at > at["again"]]
    assert before
    assert after
    assert not any(request.failure for request in [*before, *after])
    assert all(request.failure for request in without)
    found = tally(test.requests)
    assert found.failed == sum(request.failure is not None for request in ended) >= 1
    assert found.requests == len(ended)
