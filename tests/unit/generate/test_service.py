"""The /generate service over its socket: what it answers, refuses, forgets, and how it ends."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.generate.scripted import LIMITS, PATIENCE_S, Codec, Engine, Running, running
from tokgate.engines.decoding import Decoding
from tokgate.generate.service import Loaded

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def refusing() -> Iterator[Running]:
    """A service that no request gets through to."""
    with running() as service:
        yield service


def test_the_assignments_request_gets_a_response() -> None:
    with running() as service:
        reply = service.ask("5 6 7", temperature=0.5, max_steps=4)
    assert reply.status == 200
    assert reply.json["response"] == "8 9 10 11"
    assert (reply.json["prompt_tokens"], reply.json["output_tokens"], reply.json["batch"]) == (3, 4, 1)
    assert reply.json["queue_s"] <= reply.json["total_s"]
    assert service.engine.decodings == [Decoding(0.5, 7)]


def test_without_parameters_it_is_greedy_as_it_is_measured() -> None:
    """The engine is called as a worker calls it, with nothing about decoding."""
    with running() as service:
        assert service.ask("1", max_steps=2).json["response"] == "2 3"
    assert service.engine.decodings == [None]


def test_without_max_steps_it_makes_what_the_limits_allow() -> None:
    with running() as service:
        assert service.ask("1").json["output_tokens"] == LIMITS.steps
        assert service.ask([1] * 20).json["output_tokens"] == LIMITS.context_len - 20


def test_token_ids_are_a_prompt_too() -> None:
    with running() as service:
        assert service.ask([5, 6], max_steps=1).json["response"] == "7"


def test_a_text_ends_where_the_model_ends_it_unless_it_is_told_not_to() -> None:
    with running(codec=Codec(9)) as service:
        stopped = service.ask("7", max_steps=5).json
        whole = service.ask("7", max_steps=5, ignore_eos=True).json
    assert (stopped["response"], stopped["output_tokens"]) == ("8", 2)
    assert (whole["response"], whole["output_tokens"]) == ("8 9 10 11 12", 5)


@pytest.mark.parametrize(
    ("body", "place", "words"),
    [
        ({"prompt": ""}, ["prompt"], "no tokens"),
        ({"prompt": []}, ["prompt"], "no tokens"),
        ({"prompt": [1] * 21}, ["prompt"], "21 tokens; expected at most 20"),
        ({"prompt": [1, 100]}, ["prompt"], "token id 100; the model's go from 0 to 99"),
        ({"prompt": [-1]}, ["prompt"], "token id -1"),
        ({"prompt": "1", "parameters": {"max_steps": 0}}, ["parameters", "max_steps"], "0; expected 1 to 30"),
        ({"prompt": "1", "parameters": {"max_steps": 31}}, ["parameters", "max_steps"], "31; expected 1 to 30"),
        ({"prompt": [1] * 20, "parameters": {"max_steps": 21}}, ["parameters", "max_steps"], "make 41; the context"),
        ({"prompt": "1", "parameters": {"max_steps": 2.5}}, ["parameters", "max_steps"], "integer"),
        ({"prompt": "1", "parameters": {"temperature": 2.1}}, ["parameters", "temperature"], "2.1; expected 0"),
        ({"prompt": "1", "parameters": {"temperature": -1}}, ["parameters", "temperature"], "-1"),
        ({"prompt": "1", "parameters": {"temperature": float("nan")}}, ["parameters", "temperature"], "finite"),
        ({"prompt": "1", "parameters": {"temperature": "hot"}}, ["parameters", "temperature"], "number"),
        ({"prompt": "1", "parameters": {"max_step": 3}}, ["parameters", "max_step"], "not permitted"),
        ({"prompt": "\ud800"}, ["prompt"], "surrogates not allowed"),
        ({"prompt": 7}, ["prompt", "str"], "string"),
        ({}, ["prompt"], "required"),
    ],
)
def test_what_is_beyond_the_limits_is_refused_by_name(
    refusing: Running, body: Any, place: list[str], words: str
) -> None:
    reply = refusing.send("POST", "/generate", json.dumps(body).encode())
    assert reply.status == 422
    fault = reply.json["detail"][0]
    assert fault["loc"] == ["body", *place]
    assert words in fault["msg"]
    assert refusing.engine.calls == []


def test_a_body_that_is_no_json_is_refused(refusing: Running) -> None:
    assert refusing.send("POST", "/generate", b'{"prompt": "1"').status == 422


def test_a_body_that_is_too_long_is_refused_however_it_comes() -> None:
    long = json.dumps({"prompt": "1 " * LIMITS.body_bytes}).encode()
    with running() as service:
        announced = service.send("POST", "/generate", long)
        in_chunks = service.send("POST", "/generate", iter([long[:1500], long[1500:]]))
    for reply in (announced, in_chunks):
        assert reply.status == 413
        assert "2000 bytes" in reply.json["detail"]


def test_it_is_not_healthy_before_the_model_is_there() -> None:
    engine, may_load = Engine(), threading.Event()

    def load() -> Loaded:
        assert may_load.wait(PATIENCE_S)
        from tokgate.generate.textmodel import TextModel

        return Loaded(TextModel(engine, Codec()))

    with running(engine, load=load, ready=False) as service:
        health, reply = service.send("GET", "/health"), service.ask("1")
        assert (health.status, health.json) == (503, {"status": "loading"})
        assert (reply.status, reply.headers["retry-after"]) == (503, "1")
        assert not service.ready.is_set()
        may_load.set()
        assert service.ready.wait(PATIENCE_S)
        assert service.send("GET", "/health").status == 200, "who waited for the word is served"
        assert service.ask("1", max_steps=1).status == 200


def test_a_model_that_cannot_be_loaded_ends_it() -> None:
    def load() -> Loaded:
        raise FileNotFoundError("no model.onnx")

    with running(load=load, ready=False) as service:
        service.thread.join(PATIENCE_S)
        assert not service.thread.is_alive()
        assert service.server.fault == "FileNotFoundError: no model.onnx"


def test_beyond_the_queue_comes_a_503_that_says_when_to_come_again() -> None:
    """One is generated, two wait, the fourth is refused; those that were taken are all answered."""
    with running(Engine(held=True), queue=2) as service:
        taken = [service.start("1")]
        service.engine.await_calls(1)
        for number, prompt in enumerate(["2", "3"], 1):
            taken.append(service.start(prompt))
            service.await_metric("tokgate_generate_queue_length", number)
        assert service.metric("tokgate_generate_in_flight") == 1
        refused = service.ask("4")
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert "2 requests wait" in refused.json["detail"]
        service.engine.go.release(3)
        assert [each.result(PATIENCE_S).status for each in taken] == [200, 200, 200]
        assert service.engine.calls == [[[1]], [[2]], [[3]]]
        assert service.metric('tokgate_generate_requests_total{status="503"}') == 1
        assert service.metric('tokgate_generate_requests_total{status="200"}') == 3


def test_the_work_of_a_client_that_went_away_is_not_done() -> None:
    """Nor is its place in the queue kept."""
    with running(Engine(held=True), queue=1) as service:
        first = service.start("1")
        service.engine.await_calls(1)
        body = b'{"prompt": "2"}'
        with socket.create_connection(("127.0.0.1", service.port)) as leaver:
            leaver.sendall(
                b"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                + f"Content-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            service.await_metric("tokgate_generate_queue_length", 1)
        service.await_metric("tokgate_generate_queue_length", 0)
        third = service.start("3")
        service.await_metric("tokgate_generate_queue_length", 1)
        service.engine.go.release(2)
        assert first.result(PATIENCE_S).status == third.result(PATIENCE_S).status == 200
        assert service.engine.calls == [[[1]], [[3]]]
        assert service.metric("tokgate_generate_disconnects_total") == 1


def test_an_answer_for_nobody_does_no_harm() -> None:
    """The client goes while its request is being generated."""
    with running(Engine(held=True)) as service:
        connection = http.client.HTTPConnection("127.0.0.1", service.port)
        connection.request("POST", "/generate", b'{"prompt": "1"}', {"Content-Type": "application/json"})
        service.engine.await_calls(1)
        connection.close()
        service.await_metric("tokgate_generate_disconnects_total", 1)
        service.engine.go.release(2)
        assert service.ask("2", max_steps=1).json["response"] == "3"


def test_requests_of_one_length_are_generated_at_once_and_answered_as_if_alone() -> None:
    """Nothing is padded: each call holds prompts of one length, and each request its own number of tokens."""
    asked = [("1", 3), ("2 3", 2), ("4", 5), ("5 6", 2), ("7", 1)]
    with running() as service:
        alone = [service.ask(prompt, max_steps=steps).json["response"] for prompt, steps in asked]
    with running(Engine(held=True), batch=4, window_s=0.0) as service:
        holder = service.start("99")
        service.engine.await_calls(1)
        replies = []
        for number, (prompt, steps) in enumerate(asked, 1):
            replies.append(service.start(prompt, max_steps=steps))
            service.await_metric("tokgate_generate_queue_length", number)
        service.engine.go.release(3)
        together = [reply.result(PATIENCE_S).json for reply in replies]
        assert holder.result(PATIENCE_S).status == 200
    assert [reply["response"] for reply in together] == alone
    assert service.engine.calls[1:] == [[[1], [4], [7]], [[2, 3], [5, 6]]]
    assert [reply["batch"] for reply in together] == [3, 2, 3, 2, 3]


def test_one_at_a_time_is_the_default() -> None:
    with running(Engine(held=True)) as service:
        replies = [service.start("1")]
        service.engine.await_calls(1)
        replies += [service.start("2"), service.start("3")]
        service.await_metric("tokgate_generate_queue_length", 2)
        service.engine.go.release(3)
        assert {reply.result(PATIENCE_S).json["batch"] for reply in replies} == {1}


def test_an_engine_that_fails_fails_its_batch_and_no_other() -> None:
    with running() as service:
        service.engine.fails = True
        failed = service.ask("1")
        assert (failed.status, failed.json["detail"]) == (500, "the engine failed: RuntimeError: out of memory")
        assert service.ask("1", max_steps=1).status == 200
        assert service.send("GET", "/health").status == 200


def test_told_to_end_it_answers_what_it_works_at_and_refuses_what_waits() -> None:
    with running(Engine(held=True)) as service:
        worked_at = service.start("1", max_steps=1)
        service.engine.await_calls(1)
        waiting = service.start("2")
        service.await_metric("tokgate_generate_queue_length", 1)
        service.server.handle_exit(15, None)
        refused = waiting.result(PATIENCE_S)
        assert refused.status == 503
        assert "retry-after" in refused.headers
        assert service.thread.is_alive(), "it waits for the one that is being generated"
        service.engine.go.release()
        assert worked_at.result(PATIENCE_S).json["response"] == "2"
        service.thread.join(PATIENCE_S)
        assert not service.thread.is_alive()
        assert not service.server.service.busy
        with pytest.raises(OSError, match="refused"):
            service.ask("3")
    assert service.engine.calls == [[[1]]]


def test_metrics_tell_what_was_done() -> None:
    with running() as service:
        service.ask("1 2", max_steps=3)
        service.ask("1 2", max_steps=4)
        assert service.metric("tokgate_generate_prompt_tokens_total") == 4
        assert service.metric("tokgate_generate_output_tokens_total") == 7
        assert service.metric("tokgate_generate_latency_seconds_count") == 2
        assert service.metric('tokgate_generate_latency_seconds_bucket{le="+Inf"}') == 2
        assert service.metric("tokgate_generate_peak_memory_bytes") > 1e6
        assert service.metric("process_resident_memory_bytes") > 1e6


def test_info_tells_what_was_loaded() -> None:
    with running() as service:
        assert service.send("GET", "/info").json == {"model": "scripted"}
