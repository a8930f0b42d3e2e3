from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.streams import DATA, event
from tokgate.serving.events import EventError, EventSplitter

pytestmark = pytest.mark.unit

STREAMS = {
    "as vLLM writes it": b"".join(map(event, DATA)),
    "CRLF": b"".join(b"data: " + data + b"\r\n\r\n" for data in DATA),
    "CR alone": b"".join(b"data: " + data + b"\r\r" for data in DATA),
    "no blank after the colon": b"".join(b"data:" + data + b"\n\n" for data in DATA),
    "BOM": b"\xef\xbb\xbf" + b"".join(map(event, DATA)),
    "comments and names": b": ping\n\nretry: 10\n\n" + b"".join(b"event: x\nid: 7\n: c\n" + event(d) for d in DATA),
    "empty lines": b"\n\n\r\n" + b"\n".join(map(event, DATA)),
    "no last empty line": b"".join(map(event, DATA)).rstrip(b"\n"),
}


def split(pieces):
    splitter = EventSplitter()
    return [data for piece in pieces for data in splitter.feed(piece)] + splitter.close()


def cut(stream, places):
    edges = [0, *sorted(places), len(stream)]
    return [stream[begin:end] for begin, end in itertools.pairwise(edges)]


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_every_cut_in_two_gives_the_same_events(stream):
    for place in range(len(stream) + 1):
        assert split([stream[:place], stream[place:]]) == DATA
    assert split([bytes([byte]) for byte in stream]) == DATA


@given(st.sampled_from(list(STREAMS.values())), st.data())
def test_any_pieces_give_the_same_events(stream, data):
    places = data.draw(st.lists(st.integers(0, len(stream)), max_size=30))
    assert split(cut(stream, places)) == DATA


@given(st.data())
def test_an_event_of_several_lines_is_one_whatever_its_pieces(data):
    stream = b"data: one\ndata:\ndata:  two\r\ndata\n\n: c\ndata: three\n\n"
    places = data.draw(st.lists(st.integers(0, len(stream)), max_size=10))
    assert split(cut(stream, places)) == [b"one\n\n two\n", b"three"]


def test_an_event_is_given_as_soon_as_its_last_line_has_ended():
    splitter = EventSplitter()
    assert splitter.feed(b"data: a\r\n\r") == [b"a"]
    assert splitter.feed(b"\ndata: b\n\n") == [b"b"]


def test_words_of_somebody_else_are_no_event():
    with pytest.raises(EventError, match="upstream connect error"):
        EventSplitter().feed(b"upstream connect error or disconnect\n\n")


def test_an_event_without_end_is_given_up():
    with pytest.raises(EventError, match="more than 16 MiB"):
        split([b"x" * (1 << 20)] * 17)
    with pytest.raises(EventError, match="more than 16 MiB"):
        split([b"data: " + b"x" * (1 << 20) + b"\n"] * 17)
