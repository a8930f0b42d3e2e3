"""The load client against servers that do well."""

from __future__ import annotations

import itertools
import json
import os
import resource
import signal
import threading
import urllib.request
from dataclasses import replace

import pytest

from serving.loads import TOKENS, load, raw_server, read_request, request, target
from serving.streams import RESPONSE
from tokgate.errors import InputError, MeasurementError
from tokgate.serving.client import run_load
from tokgate.serving.load import Load
from tokgate.serving.record import Failure
from tokgate.stub.process import running

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def stub():
    with running("--ttft-ms", "2", "--itl-ms", "1") as process:
        yield process


@pytest.fixture(scope="module", autouse=True)
def first_load(stub):
    """What libuv opens once in a process, and keeps."""
    run_load(load(stub.url, 1))


@pytest.fixture(autouse=True)
def nothing_is_left(first_load):
    """No socket, thread or signal handler outlives a load."""
    handler = signal.getsignal(signal.SIGINT)
    before = sorted(os.listdir("/proc/self/fd"))
    yield
    assert sorted(os.listdir("/proc/self/fd")) == before
    assert signal.getsignal(signal.SIGINT) is handler
    assert threading.active_count() == 1 or os.environ.get("PYTEST_XDIST_WORKER")


def truth(stub):
    with urllib.request.urlopen(f"{stub.url}/truth") as answer:
        return json.load(answer)


def reset(stub):
    urllib.request.urlopen(urllib.request.Request(f"{stub.url}/reset", method="POST")).close()


def whole(result, count):
    assert [record.number for record in result.records] == list(range(count))
    assert {record.failure for record in result.records} == {None}
    assert all(record.output_tokens == TOKENS and len(record.message_s) == TOKENS for record in result.records)
    return True


def test_a_closed_loop_keeps_its_slots_full_and_no_more(stub):
    reset(stub)
    result = run_load(load(stub.url, 40, max_concurrency=4))
    assert whole(result, 40)
    assert result.peak_concurrency == 4
    assert truth(stub)["summary"]["peak_open"] <= 4
    assert {record.due_s for record in result.records} == {result.started_s}
    assert result.duration_s >= max(record.message_s[-1] for record in result.records) - result.started_s


def test_it_is_never_ahead_of_the_truth(stub):
    """A message is stamped after it was written, and a request before it arrived."""
    reset(stub)
    records = run_load(load(stub.url, 20, max_concurrency=1)).records
    for mine, its in zip(records, truth(stub)["requests"], strict=True):
        assert mine.sent_s < its["arrival_s"]
        assert mine.message_s[0] > its["first_write_s"]
        assert mine.message_s[-1] > its["last_write_s"]


def test_warm_ups_are_sent_and_not_recorded(stub):
    reset(stub)
    assert whole(run_load(load(stub.url, 3, max_concurrency=2, warmups=5)), 3)
    assert truth(stub)["summary"]["requests"] == 8


def test_an_open_loop_is_due_by_its_schedule(stub):
    starts_s = [0.1, 0.0, 0.05, 0.05]
    result = run_load(load(stub.url, 4, starts_s=starts_s))
    assert whole(result, 4)
    assert [record.due_s - result.started_s for record in result.records] == pytest.approx(starts_s)
    assert all(record.sent_s > record.due_s for record in result.records)
    # Of four at least one is not held up by what else the machine does.
    assert min(record.queue_s for record in result.records) < 0.02
    assert result.health.schedule_lag_max_s > 0
    assert result.health.schedule_lag_max_s <= max(record.queue_s for record in result.records)


def test_waiting_for_a_slot_counts_from_when_it_was_due(stub):
    """Coordinated omission shows: the send is late, and the record says by how much."""
    result = run_load(load(stub.url, 5, starts_s=[0.0] * 5, max_concurrency=1))
    assert whole(result, 5)
    assert result.peak_concurrency == 1
    by_sending = sorted(result.records, key=lambda record: record.sent_s)
    for before, after in itertools.pairwise(by_sending):
        assert after.queue_s > before.message_s[-1] - before.due_s


def test_processes_share_the_load_and_the_slots(stub):
    reset(stub)
    heard = []
    result = run_load(load(stub.url, 31, max_concurrency=5, processes=3, warmups=2), heard.append)
    assert whole(result, 31)
    assert (result.health.processes, truth(stub)["summary"]["requests"]) == (3, 33)
    assert result.peak_concurrency <= 5
    last = heard[-1]
    assert (last.done, last.failed, last.running, last.total) == (31, 0, 0, 31)
    assert last.output_tokens == 31 * TOKENS


def test_no_process_of_a_closed_loop_waits_for_its_own_share():
    """While one request takes a second, the other process sends all the rest."""
    with running("--ttft-ms", "2", "--itl-ms", "1", "--stall", "0:3:1") as stub:
        result = run_load(load(stub.url, 12, max_concurrency=2, processes=2))
    assert whole(result, 12)
    slow = max(result.records, key=lambda record: record.e2el_s)
    assert all(record.sent_s < slow.message_s[-1] for record in result.records)
    assert result.peak_concurrency == 2


def test_there_are_no_more_processes_than_slots(stub):
    assert run_load(load(stub.url, 4, max_concurrency=2, processes=3)).health.processes == 2
    alone = run_load(load(stub.url, 4, max_concurrency=1, processes=3))
    assert (alone.health.processes, len(alone.successes), alone.peak_concurrency) == (1, 4, 1)


@pytest.mark.parametrize("settings", [{"chat": True}, {"stream": False}, {"stream": False, "chat": True}])
def test_chats_and_answers_that_are_not_streamed(stub, settings):
    path = "/v1/chat/completions" if settings.get("chat") else "/v1/completions"
    asked = Load(target(stub.url, path), [request(**settings)] * 3, max_concurrency=2, keep_text=True)
    for record in run_load(asked).records:
        assert (record.failure, record.output_tokens, record.text) == (None, TOKENS, " tok" * TOKENS)
        # The first message of a streamed chat has the role alone.
        assert len(record.message_s) == (TOKENS + 1 if settings.get("stream", True) else 1)


def test_the_request_is_what_was_asked_for():
    seen = []

    def talk(peer):
        while read := read_request(peer):
            seen.append(read)
            peer.sendall(RESPONSE)

    with raw_server(talk) as url:
        headers = (("Authorization", "Bearer x"), ("user-agent", "me"))
        asked = replace(target(url, "/v1/x?a=b"), headers=headers)
        result = run_load(Load(asked, [replace(request(), body=b'{"a": 1}', output_len=4)] * 2, max_concurrency=1))
    assert len(result.successes) == 2
    assert seen[0] == seen[1]
    head, _, body = seen[0].partition(b"\r\n\r\n")
    assert head.decode().split("\r\n") == [
        "POST /v1/x?a=b HTTP/1.1",
        f"Host: {asked.host}:{asked.port}",
        "Content-Type: application/json",
        "Accept: text/event-stream",
        "Accept-Encoding: identity",
        "Authorization: Bearer x",
        "user-agent: me",
        "Content-Length: 8",
    ]
    assert body == b'{"a": 1}'


@pytest.mark.parametrize("processes", [1, 2])
def test_ctrl_c_ends_in_order_with_what_was_measured(processes):
    def interrupt(progress):
        if progress.running == 4 and not sent:
            sent.append(progress)
            os.kill(os.getpid(), signal.SIGINT)

    sent = []
    with running("--ttft-ms", "1", "--itl-ms", "1", "--stall", "4-99:3:1000") as stub:
        result = run_load(load(stub.url, 100, max_concurrency=4, processes=processes), interrupt)
    assert sent
    failures = [record.failure for record in result.records]
    assert (failures.count(None), failures.count(Failure.CANCELLED)) == (4, 96)
    # Of those that were open, what had come is there.
    assert sum(len(record.message_s) == 3 for record in result.records) == 4


def test_progress_comes_while_it_runs(stub):
    heard = []
    run_load(load(stub.url, 400, max_concurrency=2), heard.append)
    assert len(heard) > 1
    assert heard[0].done < 400
    assert [each.done for each in heard] == sorted(each.done for each in heard)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"max_concurrency": 0}, "max_concurrency 0"),
        ({"starts_s": [0.0]}, "1 start times for 3 requests"),
        ({"processes": 0}, "processes 0"),
        ({"timeout_s": float("nan")}, "timeout_s nan"),
    ],
)
def test_a_load_that_cannot_be_is_refused(settings, complaint):
    with pytest.raises(InputError, match=complaint):
        run_load(load("http://127.0.0.1:1", 3, **settings))


def test_a_load_without_requests_is_refused():
    with pytest.raises(InputError, match="without requests"):
        run_load(load("http://127.0.0.1:1", 0))


def test_more_connections_than_the_machine_allows_are_refused(monkeypatch):
    monkeypatch.setattr("resource.getrlimit", lambda _: (256, 1024))
    with pytest.raises(MeasurementError, match=r"3000 connections at once need 3064 open files.*allows 1024"):
        run_load(load("http://127.0.0.1:1", 3000))


@pytest.mark.parametrize(("hard", "raised_to"), [(1024, 1024), (resource.RLIM_INFINITY, 3064), (4096, 3064)])
def test_a_long_schedule_is_sent_with_as_many_files_as_there_are(stub, monkeypatch, hard, raised_to):
    """Its requests need not overlap: here the last three thousand are never due."""
    set_to = []
    monkeypatch.setattr("resource.getrlimit", lambda _: (256, hard))
    monkeypatch.setattr("resource.setrlimit", lambda _, limits: set_to.append(limits))
    asked = load(stub.url, 3000, starts_s=[0.0, *[3600.0] * 2999])
    result = run_load(asked, lambda progress: os.kill(os.getpid(), signal.SIGINT) if progress.done == 1 else None)
    assert set_to == [(raised_to, hard)]
    assert len(result.successes) == 1


def test_a_connection_too_many_is_a_failure_of_its_request(stub, monkeypatch):
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    # So many as are open, and those that the loop, its timers and a few connections take.
    few = len(os.listdir("/proc/self/fd")) + 16
    monkeypatch.setattr("resource.getrlimit", lambda _: (few, few))
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (few, limits[1]))
        monkeypatch.setattr("resource.setrlimit", lambda *_: None)
        result = run_load(load(stub.url, 60, starts_s=[0.0] * 60))
    finally:
        monkeypatch.undo()
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    failed = [record for record in result.records if record.failure is not None]
    assert result.successes
    assert {record.failure for record in failed} == {Failure.REFUSED}
    assert any("Too many open files" in record.detail for record in failed)


def test_a_client_process_that_dies_is_no_result(stub, monkeypatch):
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(MeasurementError, match="a client process ended early with status 1"):
        run_load(load(stub.url, 4, max_concurrency=2, processes=2))
