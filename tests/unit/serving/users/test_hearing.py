"""What users are answered, and when that is no success."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.serving.record import Failure
from tokgate.serving.request import Request
from tokgate.serving.users.hearing import Heard, Hearing

pytestmark = pytest.mark.unit


def message(text: str, finish: str | None = None) -> bytes:
    return b"data: " + json.dumps({"choices": [{"text": text, "finish_reason": finish}]}).encode() + b"\n\n"


USAGE = b'data: {"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 3}}\n\n'
STREAM = [message("a"), message("b"), message("c", "length"), USAGE, b"data: [DONE]\n\n"]


def heard(
    pieces: list[bytes], *, stream: bool = True, api: str = "completions", status: int = 200, prompt_len: int = 4
) -> Heard:
    """Pieces come a second apart; the end is there with the last."""
    hearing = Hearing(Request(b"{}", prompt_len, 3, stream=stream), api)
    for number, piece in enumerate(pieces, 1):
        hearing.take(piece, float(number))
    return hearing.ended(status, float(len(pieces)))


def test_a_stream_has_the_time_of_its_last_token_and_its_first_and_other_ones() -> None:
    """Its count of tokens comes after that, and its end."""
    assert heard(STREAM) == Heard(3.0, 1.0, 1.0, 4, 3, None)
    assert heard(STREAM[:3]).e2el_s == 3.0


@given(st.data())
def test_it_does_not_matter_how_the_bytes_are_cut(data: st.DataObject) -> None:
    whole = b"".join(STREAM)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(whole) - 1), max_size=10)))
    pieces = [whole[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    found = heard(pieces)
    assert (found.fault, found.prompt_tokens, found.output_tokens) == (None, 4, 3)


@pytest.mark.parametrize(
    ("pieces", "failure"),
    [
        ([*STREAM[:2], b'data: {"error": {"message": "out of memory"}}\n\n', *STREAM[2:]], Failure.STREAM_ERROR),
        (STREAM[:2], Failure.TRUNCATED),
        ([*STREAM[:3], STREAM[4]], Failure.NO_USAGE),
        ([*STREAM[:3], USAGE.replace(b"3}", b"2}"), STREAM[4]], Failure.WRONG_LENGTH),
        ([*STREAM[:3], USAGE.replace(b"4,", b"5,"), STREAM[4]], Failure.WRONG_LENGTH),
        ([STREAM[0], b"data: {junk\n\n", *STREAM[1:]], Failure.MALFORMED),
        ([b"<html>busy</html>\n\n"], Failure.MALFORMED),
    ],
)
def test_a_stream_that_is_not_what_was_asked_for_is_a_failure(pieces: list[bytes], failure: Failure) -> None:
    fault = heard(pieces).fault
    assert fault is not None
    assert fault.failure is failure


def test_prompt_tokens_that_nobody_counted_are_not_compared() -> None:
    assert heard(STREAM, prompt_len=0).fault is None


def test_an_answer_that_comes_whole_has_no_first_token() -> None:
    body = json.dumps(
        {"choices": [{"text": "abc", "finish_reason": "length"}], "usage": {"prompt_tokens": 4, "completion_tokens": 3}}
    ).encode()
    assert heard([body[:10], body[10:]], stream=False) == Heard(2.0, None, None, 4, 3, None)


def test_generate_counts_its_tokens_if_it_wants() -> None:
    told = b'{"response": "a b c", "prompt_tokens": 4, "output_tokens": 3, "queue_s": 0.1}'
    assert heard([told], api="generate", stream=False) == Heard(1.0, None, None, 4, 3, None)
    assert heard([b'{"response": "a b c"}'], api="generate", stream=False).fault is None
    for body, failure in (
        (told.replace(b"3,", b"2,"), Failure.WRONG_LENGTH),
        (told.replace(b"4,", b"9,"), Failure.WRONG_LENGTH),
        (b'{"answer": 1}', Failure.MALFORMED),
        (b"", Failure.MALFORMED),
    ):
        fault = heard([body], api="generate", stream=False).fault
        assert fault is not None
        assert fault.failure is failure


@pytest.mark.parametrize(
    ("status", "failure"), [(422, Failure.HTTP_4XX), (429, Failure.HTTP_429), (500, Failure.HTTP_5XX)]
)
def test_a_refusal_is_a_failure_with_its_words(status: int, failure: Failure) -> None:
    fault = heard([b'{"detail": "no"}'], api="generate", stream=False, status=status).fault
    assert fault is not None
    assert fault.failure is failure
    assert fault.detail == f'{status} {{"detail": "no"}}'
