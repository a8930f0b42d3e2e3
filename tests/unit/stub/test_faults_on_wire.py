"""Every kind of fault, as a client sees it: bytes over a real socket."""

from __future__ import annotations

import json

import pytest

from tests.unit.stub.wires import Reply, Wire, request, talk
from tokgate.stub.faults import HARMLESS, INSTEAD, MID_STREAM, STATUSES, THROUGHOUT
from tokgate.stub.schedule import Pace

pytestmark = pytest.mark.unit

KINDS = (*STATUSES, *INSTEAD, *MID_STREAM, *THROUGHOUT)
HANGING = ("stall", "no-headers")


def fault(kind: str, chat: bool = False, **body) -> Reply:
    """The reply to a request of 6 tokens that meets the fault."""

    async def scene(wire: Wire) -> Reply:
        return await wire.ask(chat, **body)

    return talk(scene, f"0:{kind}")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in (*HANGING, *HARMLESS)])
def test_a_fault_is_told_and_never_counted_as_a_whole_answer(kind):
    async def scene(wire: Wire):
        await wire.ask()
        await wire.ask()
        return await wire.truth_when(lambda told: told["requests"][0]["ended_s"] is not None)

    told = talk(scene, f"0:{kind}")
    assert [r["fault"] for r in told["requests"]] == [kind, None]
    assert [r["ended_well"] for r in told["requests"]] == [False, True]
    assert (told["summary"]["ended_well"], told["summary"]["faults"], told["summary"]["open"]) == (1, 1, 0)


@pytest.mark.parametrize("status", STATUSES)
def test_a_status_comes_with_an_error_object_and_its_length(status):
    reply = fault(status)
    assert reply.status == int(status)
    assert reply.json["error"]["code"] == int(status)
    assert f"content-length: {len(reply.body)}" in reply.head
    assert "retry-after" not in reply.head


@pytest.mark.parametrize("status", ["429", "503"])
def test_retry_after_is_what_was_asked_for(status):
    assert "\r\nretry-after: 10000" in fault(f"{status}:10000").head


def test_reset_is_an_rst_before_any_byte():
    assert fault("reset") == Reply(b"", reset=True)


def test_close_is_an_end_before_any_byte():
    assert fault("close") == Reply(b"")


@pytest.mark.parametrize("kind", HANGING)
def test_a_hang_lasts_until_the_client_goes_and_the_truth_says_when(kind):
    async def scene(wire: Wire):
        body = json.dumps({"prompt": "a", "max_tokens": 6, "stream": True}).encode()
        reader, writer = await wire.open(request("POST", "/v1/completions", body))
        read = b""
        while kind == "stall" and read.count(b"data: ") < 3:
            read += await reader.read(1 << 16)
        before = await wire.truth_when(lambda told: len(told["requests"]) == 1)
        writer.close()
        gone = await wire.truth_when(lambda told: told["summary"]["clients_gone"] == 1)
        return read, before, gone

    read, before, gone = talk(scene, f"0:{kind}")
    assert read.count(b"data: ") == (3 if kind == "stall" else 0)
    assert before["summary"]["open"] == 1
    assert before["requests"][0]["client_gone_s"] is None
    record = gone["requests"][0]
    assert record["arrival_s"] < record["client_gone_s"] < gone["now_s"]
    assert (gone["summary"]["open"], record["ended_s"], record["ended_well"]) == (0, None, False)


def test_http_garbage_has_no_status_line():
    reply = fault("http-garbage")
    assert reply.raw
    assert b"HTTP/" not in reply.raw.split(b"\r\n")[0]
    assert not reply.reset


def test_html_is_a_whole_response_of_a_proxy():
    reply = fault("html")
    assert (reply.status, reply.body[:15]) == (200, b"<!DOCTYPE html>")
    assert "content-type: text/html" in reply.head


def test_reset_mid_stream_is_an_rst_after_the_tokens():
    async def scene(wire: Wire) -> Reply:
        return await wire.ask()

    # The tokens must be read before the reset takes them away.
    reply = talk(scene, "0:reset-mid-stream:2", pace=Pace(ttft_s=0.0, itl_s=0.2))
    assert reply.text == " tok" * 2
    assert reply.reset


def test_cut_ends_inside_a_chunk():
    reply = fault("cut:2")
    assert not reply.reset
    assert not reply.ends_as_http
    assert len(reply.messages) == 2
    assert reply.body.count(b"data: ") == 3


def test_end_early_is_correct_http_and_no_whole_answer():
    reply = fault("end-early:2")
    assert reply.ends_as_http
    assert (reply.text, reply.usage) == (" tok tok", None)
    assert b"[DONE]" not in reply.events
    assert all(choice["finish_reason"] is None for m in reply.messages for choice in m["choices"])


def test_short_looks_whole_but_has_fewer_tokens():
    reply = fault("short:2")
    assert (reply.text, reply.usage["completion_tokens"]) == (" tok tok", 2)
    assert reply.messages[1]["choices"][0]["finish_reason"] == "stop"
    assert reply.events[-1] == b"[DONE]"


@pytest.mark.parametrize("chat", [False, True])
@pytest.mark.parametrize("tokens", [0, 2, 6, 100])
def test_an_error_message_comes_after_the_tokens_and_ends_the_stream_correctly(chat, tokens):
    reply = fault(f"error-message:{tokens}", chat)
    assert reply.text == " tok" * min(tokens, 6)
    assert reply.events[-2].startswith(b'{"error": {')
    error = json.loads(reply.events[-2])["error"]
    assert (error["type"], error["code"]) == ("InternalServerError", 500)
    assert reply.events[-1] == b"[DONE]"
    assert reply.usage is None
    assert reply.ends_as_http


def test_an_error_object_is_the_form_of_older_servers():
    reply = fault("error-object")
    assert json.loads(reply.events[-2])["object"] == "error"
    assert reply.text == " tok tok tok"


def test_bad_json_and_the_rest_comes():
    reply = fault("bad-json:2")
    with pytest.raises(ValueError, match="Unterminated"):
        json.loads(reply.events[2])
    assert reply.text == " tok" * 6


def test_bad_utf8_and_the_rest_comes():
    reply = fault("bad-utf8:2")
    with pytest.raises(UnicodeDecodeError):
        reply.events[2].decode()
    assert reply.text == " tok" * 6


def test_a_bad_line_has_no_field_of_an_event_stream_and_the_rest_comes():
    reply = fault("bad-line:2")
    odd = [line for line in reply.stream.split(b"\n") if line and not line.startswith(b"data: ")]
    assert odd == [b"upstream connect error or disconnect"]
    assert reply.text == " tok" * 6


def test_bad_chunk_is_a_length_that_is_no_number():
    reply = fault("bad-chunk:2")
    assert b"\r\nzz\r\n" in reply.body
    assert not reply.ends_as_http


def test_no_done_has_all_tokens_and_usage():
    reply = fault("no-done")
    assert (reply.text, reply.usage["completion_tokens"]) == (" tok" * 6, 6)
    assert b"[DONE]" not in reply.events
    assert reply.ends_as_http


def test_no_usage_though_it_was_asked_for():
    reply = fault("no-usage")
    assert (reply.text, reply.usage, reply.events[-1]) == (" tok" * 6, None, b"[DONE]")


def test_wrong_usage_counts_a_token_that_was_not_sent():
    reply = fault("wrong-usage")
    assert (reply.text, reply.usage["completion_tokens"]) == (" tok" * 6, 7)


def test_empty_choices_bring_no_token():
    reply = fault("empty-choices")
    assert [message["choices"] for message in reply.messages] == [[]] * 7
    assert reply.events[-1] == b"[DONE]"


def test_the_content_type_is_wrong_and_the_stream_is_right():
    reply = fault("content-type")
    assert "content-type: application/octet-stream" in reply.head
    assert (reply.text, reply.events[-1]) == (" tok" * 6, b"[DONE]")


def test_comments_stand_before_every_message_and_are_no_fault():
    async def scene(wire: Wire):
        return await wire.ask(), await wire.truth()

    reply, told = talk(scene, "0:comment")
    assert reply.stream.count(b": keep-alive\n\n") == 6
    assert reply.text == " tok" * 6
    assert told["requests"][0]["ended_well"]


def test_faults_go_by_the_number_of_the_request():
    async def scene(wire: Wire):
        return [(await wire.ask()).status for _ in range(6)]

    assert talk(scene, "0:500", "2-3:404", "every:6:429") == [500, 200, 404, 404, 200, 429]


def test_a_fault_in_mid_stream_is_not_played_where_there_is_no_stream():
    async def scene(wire: Wire):
        return await wire.ask(stream=False, stream_options=None), await wire.truth()

    reply, told = talk(scene, "0:cut")
    assert reply.json["choices"][0]["text"] == " tok" * 6
    assert (told["requests"][0]["fault"], told["requests"][0]["ended_well"]) == (None, True)
