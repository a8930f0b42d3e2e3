"""Cores of a server and its client."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.serving.cores import confined_to, divide

pytestmark = pytest.mark.unit


def alone(cpu: int) -> frozenset[int]:
    return frozenset({cpu})


def apart(cpu: int) -> frozenset[int]:
    """Of 8 CPUs on 4 cores, as a host numbers them: 0 and 4 are one core."""
    return frozenset({cpu, (cpu + 4) % 8})


def adjacent(cpu: int) -> frozenset[int]:
    """As a virtual machine numbers them: 0 and 1 are one core."""
    return frozenset({cpu, cpu ^ 1})


@given(st.sets(st.integers(0, 255), min_size=2))
def test_the_two_share_no_core_and_leave_none(cpus: set[int]) -> None:
    cores = divide(cpus, siblings=alone)
    assert cores.server | cores.client == cpus
    assert not cores.server & cores.client
    assert len(cores.client) == 1


@given(st.sets(st.integers(0, 255), min_size=2), st.integers(1, 300))
def test_each_client_process_has_a_core_as_far_as_half_of_them_go(cpus: set[int], clients: int) -> None:
    cores = divide(cpus, clients, alone)
    assert cores.server | cores.client == cpus
    assert not cores.server & cores.client
    assert len(cores.client) == min(clients, len(cpus) // 2)


@pytest.mark.parametrize(
    ("cpus", "clients", "siblings", "server", "client", "shared"),
    [
        (range(8), 1, apart, {0, 1, 2, 4, 5, 6}, {7}, set()),
        (range(8), 1, adjacent, {0, 1, 2, 3, 4, 5}, {7}, set()),
        (range(8), 2, apart, {0, 1, 4, 5}, {6, 7}, set()),
        (range(8), 2, adjacent, {0, 1, 2, 3, 4, 5}, {6, 7}, set()),
        ([0, 1, 2, 3], 1, adjacent, {0, 1, 2}, {3}, {2}),
        ([0, 1], 1, adjacent, {0}, {1}, {0}),
        ([1, 2, 4, 7], 1, adjacent, {1, 2, 4}, {7}, set()),
    ],
)
def test_a_clients_core_has_no_thread_of_the_server_where_that_keeps_several(
    cpus, clients, siblings, server, client, shared
) -> None:
    cores = divide(cpus, clients, siblings)
    assert (cores.server, cores.client, cores.shared) == (server, client, shared)


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
