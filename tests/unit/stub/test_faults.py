"""Faults and the requests they are for, as they are written on the command line."""

from __future__ import annotations

import pytest

from tokgate.errors import InputError
from tokgate.stub.faults import INSTEAD, MID_STREAM, STATUSES, THROUGHOUT, Fault, parse_faults
from tokgate.stub.script import fault_token

pytestmark = pytest.mark.unit


def hit(*texts: str, requests: int = 12) -> list[int]:
    plan = parse_faults(texts)
    return [request for request in range(requests) if plan.of(request)]


def test_a_number_a_range_and_every_so_many():
    assert hit("4:reset") == [4]
    assert hit("3-5:reset") == [3, 4, 5]
    assert hit("every:4:reset") == [3, 7, 11]
    assert hit("every:1:reset", requests=3) == [0, 1, 2]


def test_the_first_entry_that_fits_is_played():
    plan = parse_faults(["2:500", "0-9:429:10000"])
    assert (plan.of(2), plan.of(3), plan.of(10)) == (Fault("500"), Fault("429", 10000), None)


@pytest.mark.parametrize("kind", [*STATUSES, *INSTEAD, *MID_STREAM, *THROUGHOUT])
def test_every_kind_is_read_and_named_as_it_was_written(kind):
    fault = parse_faults([f"0:{kind}"]).of(0)
    assert fault is not None
    assert fault.name == kind


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("reset", "names no requests"),
        ("-1:reset", "names no requests"),
        ("every:0:reset", "names no requests"),
        ("5-3:reset", "range 5-3 is empty"),
        ("0:explode", "'explode' is no kind of fault; there are 400, 401"),
        ("0", "'' is no kind of fault"),
        ("0:reset:5", "reset takes no value"),
        ("0:cut:x", "'x' is no whole number"),
        ("0:cut:", "'' is no whole number"),
    ],
)
def test_what_cannot_be_read_is_refused(text, complaint):
    with pytest.raises(InputError, match=complaint):
        parse_faults([text])


def test_a_fault_in_mid_stream_comes_after_half_of_the_tokens_or_where_it_is_told():
    assert fault_token(Fault("cut"), 10) == 5
    assert fault_token(Fault("cut", 3), 10) == 3
    assert fault_token(Fault("cut", 30), 10) == 10
    # It stands before a message, so that the last one is the latest.
    assert fault_token(Fault("bad-json", 30), 10) == 9
    assert fault_token(None, 10) == fault_token(Fault("no-done"), 10) == 0
