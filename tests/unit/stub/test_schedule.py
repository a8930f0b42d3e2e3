"""Schedules: means kept, order kept, the same for the same seed."""

from __future__ import annotations

import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.errors import InputError
from tokgate.stub.schedule import Jitter, Pace, parse_jitter, parse_stall

pytestmark = pytest.mark.unit

jitters = st.builds(Jitter, st.sampled_from(["exponential", "uniform"]), st.floats(0, 1))


def test_the_first_message_is_due_at_ttft_and_each_further_one_a_gap_later():
    assert list(Pace(ttft_s=1.0, itl_s=0.25).offsets_s(0, 4)) == [1.0, 1.25, 1.5, 1.75]


def test_a_message_of_several_tokens_comes_after_as_many_gaps():
    pace = Pace(ttft_s=1.0, itl_s=0.25, tokens_per_message=4)
    assert list(pace.offsets_s(0, 10)) == [1.0, 2.0, 2.5]


def test_a_stall_moves_its_token_and_all_after_it():
    pace = Pace(ttft_s=1.0, itl_s=0.25, stalls=(parse_stall("0:2:5"), parse_stall("0:0:1"), parse_stall("1:1:9")))
    assert list(pace.offsets_s(0, 4)) == [2.0, 2.25, 7.5, 7.75]
    assert list(pace.offsets_s(2, 2)) == [1.0, 1.25]


@given(tokens=st.integers(1, 200), per_message=st.integers(1, 9), jitter=st.none() | jitters, seed=st.integers(0, 9))
def test_every_message_has_a_time_no_earlier_than_the_one_before(tokens, per_message, jitter, seed):
    pace = Pace(0.5, 0.01, per_message, ttft_jitter=jitter, itl_jitter=jitter, seed=seed)
    offsets_s = list(pace.offsets_s(3, tokens))
    assert len(offsets_s) == pace.messages(tokens) == -(-tokens // per_message)
    assert offsets_s == sorted(offsets_s)
    assert offsets_s == list(pace.offsets_s(3, tokens))


@pytest.mark.parametrize("shape", ["exponential", "uniform"])
def test_jitter_keeps_the_mean_and_stays_above_its_fixed_share(shape):
    factor = Jitter(shape, 0.4).factors(random.Random(1))
    factors = [factor() for _ in range(20_000)]
    assert statistics.fmean(factors) == pytest.approx(1.0, abs=0.02)
    assert min(factors) >= 0.6
    assert statistics.pstdev(factors) == pytest.approx(0.4 if shape == "exponential" else 0.4 / 3**0.5, rel=0.05)


def test_requests_and_seeds_differ():
    pace = Pace(itl_jitter=Jitter("uniform", 0.5))
    other = Pace(itl_jitter=Jitter("uniform", 0.5), seed=1)
    assert len({tuple(p.offsets_s(request, 5)) for p in (pace, other) for request in (0, 1)}) == 4


def test_jitter_is_read():
    assert parse_jitter("exponential:0.3") == Jitter("exponential", 0.3)
    assert parse_jitter("uniform:1") == Jitter("uniform", 1.0)


@pytest.mark.parametrize("text", ["normal:0.3", "uniform", "uniform:", "uniform:1.5", "uniform:-1", "uniform:nan"])
def test_other_jitter_is_refused_with_what_to_write(text):
    with pytest.raises(InputError, match="write exponential:SHARE"):
        parse_jitter(text)


@pytest.mark.parametrize("text", ["1:2", "1:2:x", "1:2:-3", "1"])
def test_an_unreadable_stall_is_refused_with_what_to_write(text):
    with pytest.raises(InputError, match="write REQUEST:TOKEN:SECONDS"):
        parse_stall(text)
