"""The load client against servers that fail: each fault is counted by its kind, and none as a success."""

from __future__ import annotations

import os
import signal
import socket
import struct
from dataclasses import replace

import pytest

from serving.loads import load, raw_server, read_request
from serving.streams import DATA, HEAD, RESPONSE, chunk, event
from tokgate.serving.client import run_load
from tokgate.serving.clientprocess import measure_in_processes
from tokgate.serving.connection import Connection
from tokgate.serving.dealer import dealer
from tokgate.serving.driver import Driver
from tokgate.serving.measures import measure
from tokgate.serving.record import Failure
from tokgate.serving.share import shares_of
from tokgate.stub.faults import INSTEAD, MID_STREAM, STATUSES, THROUGHOUT
from tokgate.stub.process import running

pytestmark = pytest.mark.unit

EXPECTED = {
    "400": Failure.HTTP_4XX,
    "401": Failure.HTTP_4XX,
    "404": Failure.HTTP_4XX,
    "422": Failure.HTTP_4XX,
    "429:10000": Failure.HTTP_429,
    "500": Failure.HTTP_5XX,
    "503:10000": Failure.HTTP_5XX,
    "reset": Failure.RESET,
    "close": Failure.RESET,
    "no-headers": Failure.TIMEOUT,
    "http-garbage": Failure.MALFORMED,
    "html": Failure.MALFORMED,
    "reset-mid-stream": Failure.RESET,
    "cut": Failure.TRUNCATED,
    "end-early": Failure.TRUNCATED,
    "short": Failure.WRONG_LENGTH,
    "stall": Failure.TIMEOUT,
    "error-message": Failure.STREAM_ERROR,
    "error-object": Failure.STREAM_ERROR,
    "bad-json": Failure.MALFORMED,
    "bad-utf8": Failure.MALFORMED,
    "bad-line": Failure.MALFORMED,
    "bad-chunk": Failure.MALFORMED,
    # All the tokens, their count and a finish_reason: nothing is missing but a courtesy.
    "no-done": None,
    "no-usage": Failure.NO_USAGE,
    "wrong-usage": Failure.WRONG_LENGTH,
    "empty-choices": Failure.TRUNCATED,
    "content-type": Failure.MALFORMED,
    "comment": None,
}


def test_every_fault_of_the_stub_server_is_expected_here():
    assert {kind.partition(":")[0] for kind in EXPECTED} == {*STATUSES, *INSTEAD, *MID_STREAM, *THROUGHOUT}


@pytest.mark.parametrize("split", ["0", "7"])
def test_each_fault_is_counted_by_its_kind_and_the_next_request_is_none_the_worse(split):
    """Every second request is a good one: what a broken one left behind must not reach it."""
    faults = [f"{2 * number}:{kind}" for number, kind in enumerate(EXPECTED)]
    options = [option for fault in faults for option in ("--fault", fault)]
    with running("--ttft-ms", "1", "--itl-ms", "1", "--split", split, *options) as stub:
        result = run_load(load(stub.url, 2 * len(EXPECTED), max_concurrency=1, timeout_s=2.0))
    found = dict(zip(EXPECTED, (record.failure for record in result.records[::2]), strict=True))
    assert found == EXPECTED
    assert {record.failure for record in result.records[1::2]} == {None}
    details = dict(zip(EXPECTED, (record.detail for record in result.records[::2]), strict=True))
    assert details["429:10000"].startswith('HTTP 429, Retry-After: 10000: {"error"')
    assert details["content-type"].startswith("content type 'application/octet-stream'; expected")
    assert "8 were asked for" in details["short"]
    assert all(details[kind] for kind, failure in EXPECTED.items() if failure)


def test_a_server_that_is_not_there_fails_every_request():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    for settings in ({"max_concurrency": 2}, {"starts_s": [0.0] * 50}, {"max_concurrency": 4, "processes": 2}):
        result = run_load(load(f"http://127.0.0.1:{port}", 50, **settings))
        assert [record.failure for record in result.records] == [Failure.REFUSED] * 50
        assert "refused" in result.records[0].detail
        assert result.duration_s > 0
        assert result.client_fault() is None


@pytest.mark.parametrize("processes", [1, 2])
def test_a_server_that_is_gone_before_the_first_request_is_told_with_why(processes):
    """Where all connections are opened at once no request has a refusal of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    asked = load(f"http://127.0.0.1:{port}", 200, max_concurrency=100, processes=processes)
    (failures,) = measure(run_load(asked), asked.requests).failures
    assert (failures.kind, failures.count) == (Failure.REFUSED, 200)
    row = f"not sent: the last {100 // processes} connections were refused, the first of them: "
    assert failures.first.startswith(f"{row}no connection to 127.0.0.1:{port}: ")


def test_a_client_process_that_gives_up_ends_the_run_and_says_why():
    """It drains the queue that it shares, which is told as not sent; another process ends what it has begun."""
    with running("--ttft-ms", "300", "--itl-ms", "1") as stub, socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        listener.close()
        asked = load(stub.url, 100, max_concurrency=50, processes=2)
        with dealer(len(asked.requests)) as queue:
            well, refused = shares_of(asked, queue)
            refused = replace(refused, target=replace(refused.target, port=port))
            records = {record.number: record for each in measure_in_processes([well, refused], None, lambda: None)
                       for record in each.records}  # fmt: skip
    assert sorted(records) == list(range(100))
    failed = [record for record in records.values() if record.failure is not None]
    assert len(failed) >= 50
    assert {record.failure for record in failed} == {Failure.REFUSED}
    assert all(f"no connection to 127.0.0.1:{port}: " in record.detail for record in failed)


def test_the_rest_of_a_schedule_is_not_waited_for_once_the_server_is_gone():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    result = run_load(load(f"http://127.0.0.1:{port}", 41, starts_s=[*[0.0] * 40, 3600.0]))
    assert {record.failure for record in result.records} == {Failure.REFUSED}
    assert result.records[40].detail.startswith("not sent: the last")


@pytest.mark.parametrize("processes", [1, 2])
def test_ctrl_c_before_anything_is_measured_cancels_every_request(processes):
    def talk(peer):
        read_request(peer)
        if not interrupted:
            interrupted.append(os.kill(os.getpid(), signal.SIGINT))
        while peer.recv(65536):
            pass

    interrupted = []
    with raw_server(talk) as url:
        asked = load(url, 3, max_concurrency=2, warmups=2, processes=processes, timeout_s=0.5)
        result = run_load(asked)
    assert interrupted
    assert [record.failure for record in result.records] == [Failure.CANCELLED] * 3
    assert result.duration_s >= 0
    assert measure(result, asked.requests).request_throughput == 0.0


def test_a_name_without_an_address_is_a_refusal():
    result = run_load(load("http://nowhere.invalid:80", 1))
    assert result.records[0].failure is Failure.REFUSED
    assert "nowhere.invalid" in result.records[0].detail


@pytest.mark.parametrize("settings", [{"max_concurrency": 4}, {"starts_s": [i / 1e3 for i in range(400)]}])
def test_a_server_killed_in_the_middle_ends_the_run(settings):
    def kill(progress):
        if not killed:
            killed.append(os.kill(stub.pid, signal.SIGKILL))

    killed = []
    with running("--ttft-ms", "1", "--itl-ms", "20") as stub:
        result = run_load(load(stub.url, 400, **settings), kill)
    assert len(result.records) == 400
    assert result.records[399].failure is Failure.REFUSED
    failures = {record.failure for record in result.records}
    # SIGKILL closes sockets in order where nothing was left unread.
    assert failures - {None} <= {Failure.REFUSED, Failure.RESET, Failure.TRUNCATED}
    assert failures & {Failure.RESET, Failure.TRUNCATED}


def test_a_server_that_accepts_and_says_nothing_times_out():
    def talk(peer):
        while peer.recv(65536):
            pass

    with raw_server(talk) as url:
        result = run_load(load(url, 2, max_concurrency=1, timeout_s=0.2))
    assert [record.failure for record in result.records] == [Failure.TIMEOUT] * 2
    assert "no end within 0.2 s" in result.records[0].detail


@pytest.mark.parametrize("settings", [{"max_concurrency": 2}, {"starts_s": [i / 100 for i in range(20)]}])
def test_a_server_that_accepts_and_closes_at_once_fails_every_request(settings):
    with raw_server(lambda peer: None) as url:
        result = run_load(load(url, 20, **settings))
    assert [record.failure for record in result.records] == [Failure.RESET] * 20
    assert all(record.detail for record in result.records)
    assert all(record.sent_s >= record.due_s for record in result.records)


@pytest.mark.parametrize("settings", [{"max_concurrency": 2}, {"starts_s": [0.0] * 4}])
def test_an_error_in_the_client_is_never_a_success(settings, monkeypatch):
    async def broken(*_):
        raise ZeroDivisionError

    ended = []
    monkeypatch.setattr(Connection, "exchange", broken)
    monkeypatch.setattr(Driver, "_end", lambda self, exchange, connection: ended.append(exchange.record()))
    with raw_server(lambda peer: None) as url, pytest.raises(ZeroDivisionError):
        run_load(load(url, 4, **settings))
    assert {record.failure for record in ended} == {Failure.CANCELLED}


def test_a_slow_trickle_is_no_way_around_the_deadline():
    """The deadline is for the whole answer, however much of it keeps coming."""

    def talk(peer):
        read_request(peer)
        peer.sendall(HEAD)
        peer.settimeout(0.01)
        while True:
            peer.sendall(chunk(event(DATA[0])))
            try:
                if not peer.recv(1):
                    return
            except TimeoutError:
                pass

    with raw_server(talk) as url:
        record = run_load(load(url, 1, timeout_s=0.3)).records[0]
    assert record.failure is Failure.TIMEOUT
    assert len(record.message_s) > 1


def test_a_server_that_closes_after_every_answer_loses_no_request():
    """Though it promised to keep the connection."""

    def talk(peer):
        read_request(peer)
        peer.sendall(RESPONSE.replace(b'"completion_tokens":4', b'"completion_tokens":8'))

    with raw_server(talk) as url:
        result = run_load(load(url, 8, starts_s=[number * 0.05 for number in range(8)], max_concurrency=1))
    assert [record.failure for record in result.records] == [None] * 8


def test_a_reset_of_what_the_client_still_sends_is_a_lost_connection():
    def talk(peer):
        peer.recv(1)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with raw_server(talk) as url:
        result = run_load(load(url, 3, max_concurrency=1))
    assert [record.failure for record in result.records] == [Failure.RESET] * 3
