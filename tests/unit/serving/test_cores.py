"""Cores of a server and its client."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.serving.cores import confined_to, divide

pytestmark = pytest.mark.unit


@given(st.sets(st.integers(0, 255), min_size=2))
def test_the_two_share_no_core_and_leave_none(cpus: set[int]) -> None:
    cores = divide(cpus)
    assert cores.server | cores.client == cpus
    assert not cores.server & cores.client
    assert len(cores.client) == 1


@given(st.sets(st.integers(0, 255), min_size=2), st.integers(1, 300))
def test_each_client_process_has_a_core_as_far_as_half_of_them_go(cpus: set[int], clients: int) -> None:
    cores = divide(cpus, clients)
    assert cores.server | cores.client == cpus
    assert not cores.server & cores.client
    assert len(cores.client) == min(clients, len(cpus) // 2)


def test_one_core_is_too_few() -> None:
    with pytest.raises(ValueError, match="this machine has 1 usable: expected 2 or more"):
        divide({3})


def test_a_thread_gets_its_cores_back() -> None:
    before = os.sched_getaffinity(0)
    with confined_to(frozenset({min(before)})):
        assert os.sched_getaffinity(0) == {min(before)}
    assert os.sched_getaffinity(0) == before
    with confined_to(None):
        assert os.sched_getaffinity(0) == before
