from __future__ import annotations

import asyncio
import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.streams import ASKED, DATA, HEAD, LAST_CHUNK, RESPONSE, chunk, event, exchange, exchanged, message, usage
from tokgate.serving.answer import Answer, Fault, quoted
from tokgate.serving.connection import Connection
from tokgate.serving.record import Failure
from tokgate.serving.request import Request
from tokgate.serving.rest import Rests

pytestmark = pytest.mark.unit

SAID = "Grüße, 世界 🎉 \néß"


def is_whole(record):
    return (record.failure, record.text, len(record.message_s), record.prompt_tokens, record.output_tokens) == (
        None,
        SAID,
        3,
        5,
        4,
    )


def test_a_connection_that_is_lost_before_the_request_is_a_lost_one():
    async def work():
        connection = Connection(Rests())
        fault = await connection.exchange(b"POST / HTTP/1.1", Answer(ASKED, keep_text=False), timeout_s=1.0)
        return fault, connection

    fault, connection = asyncio.run(work())
    assert fault == Fault(Failure.RESET, "closed by the server before the request was sent")
    assert connection.sent_s > 0
    assert not connection.usable


def test_every_cut_in_two_gives_the_same_answer():
    """Inside the status line, a header, a chunk's length, a character of several bytes, and between all of them."""

    async def cut_everywhere():
        for place in range(1, len(RESPONSE)):
            record, usable = await exchange([RESPONSE[:place], RESPONSE[place:]])
            assert is_whole(record), (place, record)
            assert usable

    asyncio.run(cut_everywhere())


@given(st.lists(st.integers(1, len(RESPONSE) - 1), max_size=40))
def test_any_pieces_give_the_same_answer(places):
    edges = [0, *sorted(set(places)), len(RESPONSE)]
    record, usable = exchanged([RESPONSE[begin:end] for begin, end in itertools.pairwise(edges)])
    assert is_whole(record)
    assert usable


@given(st.lists(st.integers(1, 400), max_size=30))
def test_chunks_need_not_end_where_messages_do(sizes):
    stream, chunks = b"".join(map(event, DATA)), []
    for size in sizes:
        if stream[:size]:
            chunks.append(chunk(stream[:size]))
        stream = stream[size:]
    record, _ = exchanged([HEAD, *chunks, *([chunk(stream)] if stream else []), LAST_CHUNK])
    assert is_whole(record)


def test_messages_that_come_together_share_their_arrival():
    record, _ = exchanged([RESPONSE])
    assert len(set(record.message_s)) == 1


def test_messages_that_come_apart_do_not():
    record, _ = exchanged([HEAD, *(chunk(event(data)) for data in DATA), LAST_CHUNK])
    assert record.sent_s < record.message_s[0] < record.message_s[1] < record.message_s[2]


def test_an_answer_may_end_with_the_connection():
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    record, usable = exchanged([head, *map(event, DATA)], eof=True)
    assert is_whole(record)
    assert not usable


def test_what_goes_before_an_answer_is_passed_over():
    record, usable = exchanged([b"HTTP/1.1 100 Continue\r\n\r\n", RESPONSE])
    assert is_whole(record)
    assert usable


def test_a_second_answer_ends_the_connection():
    record, usable = exchanged([RESPONSE + RESPONSE])
    assert is_whole(record)
    assert not usable


def test_a_connection_that_the_server_will_close_is_not_used_again():
    record, usable = exchanged([RESPONSE.replace(b"server:", b"connection: close\r\nserver:")])
    assert is_whole(record)
    assert not usable


def test_all_that_counts_may_come_before_a_lost_connection():
    assert is_whole(exchanged([RESPONSE.removesuffix(LAST_CHUNK)], eof=True)[0])


def test_an_answer_that_is_not_streamed_is_one_message():
    body = b'{"choices":[{"index":0,"message":{"content":"Hi"},"finish_reason":"length"}],"usage":'
    body += b'{"prompt_tokens":5,"completion_tokens":4}}'
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    record, usable = exchanged([head, body[:20], body[20:]], Request(b"{}", 5, 4, stream=False))
    assert (record.failure, record.text, len(record.message_s), record.output_tokens) == (None, "Hi", 1, 4)
    assert usable


def test_the_role_of_a_chat_is_a_message_too():
    """As vllm bench serve has it: its choices are not empty."""
    data = [
        b'{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}',
        b'{"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}',
        usage(4),
        b"[DONE]",
    ]
    record, _ = exchanged([HEAD, *(chunk(event(each)) for each in data), LAST_CHUNK])
    assert (record.failure, record.text, len(record.message_s)) == (None, "Hi", 2)


def test_the_last_usage_counts_where_every_message_has_one():
    data = [
        b'{"choices":[{"index":0,"text":"a"}],"usage":{"prompt_tokens":5,"completion_tokens":%d}}' % n for n in (1, 4)
    ]
    record, _ = exchanged([HEAD, *(chunk(event(each)) for each in [*data, b"[DONE]"]), LAST_CHUNK])
    assert (record.failure, record.output_tokens) == (None, 4)


def test_where_the_end_of_sequence_counts_any_length_will_do():
    data = [message("a", '"stop"'), usage(1), b"[DONE]"]
    pieces = [HEAD, *(chunk(event(each)) for each in data), LAST_CHUNK]
    assert exchanged(pieces, Request(b"{}", 5, 4, exact=False))[0].failure is None
    assert exchanged(pieces)[0].failure is Failure.WRONG_LENGTH


BROKEN = {
    "redirect": ([b"HTTP/1.1 301 Moved\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n"], "HTTP 301.*not followed"),
    "compressed": ([HEAD.replace(b"server: uvicorn", b"content-encoding: gzip")], "content encoding 'gzip'"),
    "upgrade": ([b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"], "no HTTP"),
    "bad chunk": ([HEAD, b"xyz\r\n"], "no HTTP"),
    "a list": ([HEAD, chunk(event(b"[1]"))], "Expected `object`, got `array`"),
    "tokens no number": ([HEAD, chunk(event(usage(1).replace(b":1}", b':"1"}')))], "Expected `int"),
    "not UTF-8": ([HEAD, chunk(event(b'{"id":"\xff"}'))], "utf-8"),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_what_is_no_answer_is_malformed_and_says_why(broken):
    pieces, why = BROKEN[broken]
    record, usable = exchanged([*pieces, LAST_CHUNK], eof=True)
    assert record.failure is Failure.MALFORMED
    assert re.search(why, record.detail), record.detail
    assert not usable or broken == "redirect"


def test_what_is_quoted_of_an_answer_is_one_line_that_no_terminal_obeys():
    record, _ = exchanged([b"\x16\x03\x01 no HTTP \xff\x1b[2J\r\n\r\n" + "é".encode()], eof=True)
    assert record.failure is Failure.MALFORMED
    assert record.detail.endswith(r": \x16\x03\x01 no HTTP \xff\x1b[2J\r\n\r\né")
    waiting = HEAD.replace(b"200 OK", b"429 Busy").replace(b"server: uvicorn", b"retry-after: \x9b2J")
    assert exchanged([waiting], eof=True)[0].detail == r"HTTP 429, Retry-After: \x9b2J"


@given(st.binary(max_size=1200))
def test_a_quotation_is_short_and_printable_whatever_the_bytes(data):
    text = quoted(data)
    assert text.isprintable()
    assert len(text) <= 203


@given(st.integers(1, len(RESPONSE) - 1))
def test_a_cut_answer_is_no_success_unless_all_of_it_had_come(place):
    record, usable = exchanged([RESPONSE[:place]], eof=True)
    all_of_it = RESPONSE.index(b"[DONE]") + len(b"[DONE]\n\n")
    if place < len(HEAD):
        assert record.failure is Failure.RESET
    else:
        assert (record.failure is None) == (place >= all_of_it), place
    assert not usable


@given(st.binary(min_size=1, max_size=200))
def test_garbage_is_no_success_and_raises_nothing(garbage):
    assert exchanged([garbage], eof=True)[0].failure is not None
    assert exchanged([HEAD, garbage], eof=True)[0].failure is not None
    assert exchanged([HEAD, chunk(garbage), LAST_CHUNK], eof=True)[0].failure is not None
