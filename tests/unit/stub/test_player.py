"""What goes out as one write where the server is behind its schedule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.stub.asked import Asked
from tokgate.stub.faults import parse_faults
from tokgate.stub.messages import Messages
from tokgate.stub.player import Answer
from tokgate.stub.schedule import Pace
from tokgate.stub.script import After, Script, merged, write_script
from tokgate.stub.truth import Record, Truth

pytestmark = pytest.mark.unit


def script(tokens: int, fault: str | None = None, continuous: bool = False) -> Script:
    texts = Messages(Asked(False, "m", 3, tokens, True, True, continuous), "cmpl-1", 0, " tok")
    return write_script(0, texts, Pace(1.0, 1.0), parse_faults([f"0:{fault}"] if fault else []).of(0))


def whole(made: Script) -> bytes:
    return b"".join(stretch.data for stretch in made.stretches for _ in stretch.offsets_s)


def answer(made: Script) -> Answer:
    return Answer(made, Record(0, "/", 0.0), Truth(0.0), lambda data: True, lambda after: None)


@given(tokens=st.integers(1, 40), late_s=st.floats(0, 50), continuous=st.booleans())
def test_whatever_is_joined_the_bytes_and_tokens_are_the_same(tokens, late_s, continuous):
    late = answer(script(tokens, continuous=continuous))
    due_s, data, sent, after = late.begin(0.0), b"", 0, After.GO_ON
    while after is After.GO_ON:
        written_by_s = due_s + late_s
        piece, count, after, due_s = late.due(written_by_s)
        data, sent = data + piece, sent + count
    assert sent == tokens
    assert data == whole(script(tokens, continuous=continuous))
    assert after is After.DONE


def test_a_server_in_time_joins_nothing():
    in_time = answer(script(5))
    due_s, writes, after = in_time.begin(0.0), 0, After.GO_ON
    while after is After.GO_ON:
        _, count, after, due_s = in_time.due(due_s)
        assert count == 1
        writes += 1
    assert writes == 5


def test_a_joined_write_is_bounded():
    late = answer(script(100))
    late.begin(0.0)
    assert late.due(1000.0)[1] == 8


def test_a_reset_is_joined_with_no_tokens_which_it_would_take_away_unread():
    late = answer(script(6, "reset-mid-stream:2"))
    late.begin(0.0)
    data, tokens, after, _ = late.due(1000.0)
    assert (data.count(b"data: "), tokens, after) == (2, 2, After.GO_ON)
    assert late.due(1000.0)[:3] == (b"", 0, After.RESET)


@given(tokens=st.integers(1, 30), count=st.integers(1, 40))
def test_merging_keeps_bytes_tokens_and_the_last_offset(tokens, count):
    plain = [(offset_s, s.tokens) for s in script(tokens).stretches for offset_s in s.offsets_s]
    stretches = [(list(s.offsets_s), s) for s in merged(script(tokens).stretches, count)]
    assert b"".join(s.data for _, s in stretches) == whole(script(tokens))
    assert [s.tokens for _, s in stretches] == [len(plain[i : i + count]) for i in range(0, tokens, count)]
    assert [offsets for offsets, _ in stretches] == [[plain[i : i + count][-1][0]] for i in range(0, tokens, count)]
