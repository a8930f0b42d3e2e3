"""A server that does what it was told, and tells what it did: over real sockets."""

from __future__ import annotations

import asyncio
import json
import statistics
from itertools import pairwise

import pytest

from tests.unit.stub.wires import Wire, request, talk
from tokgate.stub.schedule import Jitter, Pace, parse_stall

pytestmark = pytest.mark.unit

SLOW = Pace(ttft_s=0.02, itl_s=0.005)


def test_a_completion_is_streamed_as_vllm_writes_it():
    async def scene(wire: Wire):
        return await wire.ask(model="m")

    reply = talk(scene)
    assert reply.status == 200
    assert "content-type: text/event-stream; charset=utf-8" in reply.head
    assert "transfer-encoding: chunked" in reply.head
    *tokens, last, usage = reply.messages
    shared = {key: last[key] for key in ("id", "object", "created", "model")}
    assert shared["id"].startswith("cmpl-")
    assert (shared["object"], shared["model"]) == ("text_completion", "m")
    choice = {"index": 0, "text": " tok", "logprobs": None, "finish_reason": None, "stop_reason": None}
    choice |= {"prompt_token_ids": None, "token_ids": None}
    assert tokens == [{**shared, "choices": [choice]}] * 5
    assert last == {**shared, "choices": [{**choice, "finish_reason": "length"}]}
    counts = {"prompt_tokens": 3, "total_tokens": 9, "completion_tokens": 6}
    assert usage == {**shared, "choices": [], "usage": counts}
    assert reply.events[-1] == b"[DONE]"
    assert reply.ends_as_http


def test_a_chat_begins_with_its_role():
    async def scene(wire: Wire):
        return await wire.ask(chat=True, max_completion_tokens=2, max_tokens=None)

    first, token, last, usage = talk(scene).messages
    assert first["object"] == "chat.completion.chunk"
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert (token["choices"][0]["delta"], token["choices"][0]["finish_reason"]) == ({"content": " tok"}, None)
    assert last["choices"][0]["finish_reason"] == "length"
    assert usage["usage"]["completion_tokens"] == 2


@pytest.mark.parametrize("chat", [False, True])
def test_continuous_usage_is_in_every_message(chat):
    async def scene(wire: Wire):
        options = {"include_usage": True, "continuous_usage_stats": True}
        return await wire.ask(chat, max_tokens=3, stream_options=options)

    counts = [message["usage"]["completion_tokens"] for message in talk(scene).messages]
    assert counts == ([0] if chat else []) + [1, 2, 3, 3]


def test_no_usage_unless_asked_for():
    async def scene(wire: Wire):
        return await wire.ask(stream_options=None)

    reply = talk(scene)
    assert (reply.usage, reply.text, reply.events[-1]) == (None, " tok" * 6, b"[DONE]")


@pytest.mark.parametrize("chat", [False, True])
def test_an_answer_may_come_whole(chat):
    async def scene(wire: Wire):
        return await wire.ask(chat, stream=False, stream_options=None)

    told = talk(scene).json
    choice = told["choices"][0]
    assert (choice["message"]["content"] if chat else choice["text"]) == " tok" * 6
    assert told["object"] == ("chat.completion" if chat else "text_completion")
    assert told["usage"]["completion_tokens"] == 6


def test_messages_of_several_tokens_and_the_rest_in_the_last():
    async def scene(wire: Wire):
        return await wire.ask(max_tokens=7), await wire.truth()

    reply, told = talk(scene, pace=Pace(0.0, 0.0, tokens_per_message=3))
    texts = [message["choices"][0]["text"] for message in reply.messages if message["choices"]]
    assert texts == [" tok" * 3, " tok" * 3, " tok"]
    assert told["requests"][0]["tokens"] == 7


@pytest.mark.parametrize("settings", [{"split_bytes": 1}, {"split_bytes": 7, "merge": 4}, {"merge": 100}])
@pytest.mark.parametrize("chat", [False, True])
def test_split_and_merged_streams_are_the_same_bytes(settings, chat):
    async def scene(wire: Wire):
        return await wire.ask(chat), await wire.truth()

    reply, told = talk(scene, word=" é", **settings)
    assert (reply.text, reply.usage["completion_tokens"]) == (" é" * 6, 6)
    assert reply.events[-1] == b"[DONE]"
    assert reply.ends_as_http
    assert told["requests"][0]["ended_well"]


def test_a_merged_write_is_due_with_its_last_message():
    async def scene(wire: Wire):
        await wire.ask()
        return await wire.truth(full=True)

    record = talk(scene, pace=SLOW, merge=4)["requests"][0]
    assert len(record["written_s"]) == 2
    assert record["ttft_s"] >= 0.02 + 3 * 0.005
    assert record["tokens"] == 6


def test_the_truth_has_its_times_in_order_and_by_the_schedule():
    async def scene(wire: Wire):
        await wire.ask()
        return await wire.truth(full=True)

    told = talk(scene, pace=SLOW)
    record = told["requests"][0]
    times = [record["arrival_s"], *record["written_s"], record["ended_s"], told["now_s"]]
    assert times == sorted(times)
    # A write may be late on a loaded machine, never early.
    assert record["ttft_s"] >= 0.02
    assert record["last_write_s"] >= record["arrival_s"] + 0.02 + 5 * 0.005
    gap_s = (record["written_s"][-1] - record["written_s"][0]) / 5
    assert record["tpot_s"] == pytest.approx(gap_s)
    assert (record["tokens"], record["prompt_tokens"], record["max_tokens"]) == (6, 3, 6)


def test_the_summary_is_that_of_the_requests():
    async def scene(wire: Wire):
        await asyncio.gather(*(wire.ask() for _ in range(4)), wire.ask(stream=False, stream_options=None))
        return await wire.truth()

    # Slow enough that a server which is kept waiting does not join all the tokens of an answer: then it has no TPOT.
    told = talk(scene, pace=Pace(0.02, 0.05, itl_jitter=Jitter("exponential", 0.5)))
    summary = told["summary"]
    streamed = [record for record in told["requests"] if record["stream"]]
    assert (summary["requests"], summary["ended_well"], summary["tokens"], len(streamed)) == (5, 5, 30, 4)
    assert summary["prompt_tokens"] == 15
    assert summary["peak_open"] == 5
    for name in ("ttft_s", "tpot_s"):
        values = [record[name] for record in streamed]
        assert summary[name]["mean"] == pytest.approx(statistics.fmean(values))
        assert summary[name]["p50"] == pytest.approx(statistics.median(values))
        assert summary[name]["max"] == max(values) >= summary[name]["p99"] >= summary[name]["p50"]
    assert 0 <= summary["lateness_s"]["p50"] <= summary["lateness_s"]["p99"] <= summary["lateness_s"]["max"]
    assert summary["cpu_s"] > 0


def test_a_stalled_token_is_late_by_the_stall():
    async def scene(wire: Wire):
        await wire.ask()
        return (await wire.truth())["requests"][0]

    record = talk(scene, pace=Pace(0.0, 0.0, stalls=(parse_stall("0:3:0.05"),)))
    assert record["last_write_s"] - record["arrival_s"] >= 0.05
    assert record["ended_well"]


def test_requests_beyond_the_limit_wait_and_their_ttft_says_so():
    async def scene(wire: Wire):
        await asyncio.gather(*(wire.ask() for _ in range(3)))
        return await wire.truth()

    records = talk(scene, pace=SLOW, max_running=1)["requests"]
    by_turn = sorted(records, key=lambda record: record["admitted_s"])
    for before, after in pairwise(by_turn):
        assert after["admitted_s"] >= before["ended_s"]
        assert after["ttft_s"] >= after["admitted_s"] - after["arrival_s"] + 0.02


def test_metrics_count_who_runs_and_who_waits_and_those_who_left_give_up_their_place():
    async def scene(wire: Wire):
        body = request("POST", "/v1/completions", json.dumps({"prompt": "a", "stream": True}).encode())
        opened = []
        for number in range(3):
            opened.append(await wire.open(body))
            await wire.truth_when(lambda told, seen=number + 1: len(told["requests"]) == seen)
        full = (await wire.get("/metrics")).body.decode()
        for _, writer in opened[:2]:
            writer.close()
        # The first had the place, the second waited for it: the third has it now.
        await wire.truth_when(lambda told: told["requests"][2]["admitted_s"] is not None)
        left = (await wire.get("/metrics")).body.decode()
        opened[2][1].close()
        return full, left

    full, left = talk(scene, pace=Pace(ttft_s=1000.0), max_running=1)
    label = '{engine="0",model_name="stub"}'
    assert f"vllm:num_requests_running{label} 1\n" in full
    assert f"vllm:num_requests_waiting{label} 2\n" in full
    assert f"vllm:num_requests_running{label} 1\n" in left
    assert f"vllm:num_requests_waiting{label} 0\n" in left
    assert f"vllm:generation_tokens_total{label} 0\n" in left


def test_a_connection_is_kept_for_the_next_request_also_after_an_error_status():
    async def scene(wire: Wire):
        body = json.dumps({"prompt": "a", "max_tokens": 2, "stream": True}).encode()
        keep = request("POST", "/v1/completions", body, close=False)
        reader, writer = await wire.open(keep)
        await reader.readuntil(b"\r\n0\r\n\r\n")
        writer.write(keep)
        await reader.readuntil(b"}}")
        writer.write(request("POST", "/v1/completions", body))
        last = await reader.read()
        writer.close()
        return last, await wire.truth()

    last, told = talk(scene, "1:500")
    assert last.endswith(b"0\r\n\r\n")
    assert [record["fault"] for record in told["requests"]] == [None, "500", None]


def test_reset_forgets_and_counts_from_0_again():
    async def scene(wire: Wire):
        first = await wire.ask()
        await wire.get("/reset", "POST")
        forgotten = await wire.truth()
        again = await wire.ask()
        return first.status, forgotten, again.status

    first, forgotten, again = talk(scene, "0:404")
    assert (first, again) == (404, 404)
    assert (forgotten["requests"], forgotten["summary"]["requests"], forgotten["summary"]["ttft_s"]) == ([], 0, None)


def test_a_client_that_leaves_in_mid_stream_is_told():
    async def scene(wire: Wire):
        body = json.dumps({"prompt": "a", "max_tokens": 100_000, "stream": True}).encode()
        reader, writer = await wire.open(request("POST", "/v1/completions", body))
        await reader.readuntil(b"\n\n")
        writer.close()
        return await wire.truth_when(lambda told: told["summary"]["clients_gone"] == 1)

    told = talk(scene, pace=SLOW)
    record = told["requests"][0]
    assert (record["ended_s"], record["ended_well"], told["summary"]["open"]) == (None, False, 0)
    assert 1 <= record["tokens"] < 100_000
    assert record["client_gone_s"] > record["first_write_s"]


def test_a_client_that_does_not_read_delays_no_other():
    async def scene(wire: Wire):
        body = json.dumps({"prompt": "a", "max_tokens": 100_000, "stream": True}).encode()
        _, writer = await wire.open(request("POST", "/v1/completions", body))
        await wire.truth_when(lambda told: told["requests"] and told["requests"][0]["buffered_writes"] > 0)
        other = await wire.ask()
        writer.transport.abort()
        return other

    assert talk(scene).text == " tok" * 6
