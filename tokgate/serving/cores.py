"""Which CPUs a server runs on and which its load client, where both are on one host. Standard library alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tokgate.machine.cpus import sibling_cpus

LEAST_CORES = 2
TOO_FEW_CORES = (
    "a server and its load client need a core each, or the one is measured by a client that waits for the other; "
    f"this machine has {{}} usable: expected {LEAST_CORES} or more"
)


@dataclass(frozen=True)
class Cores:
    """CPU numbers; the two have none in common. `shared`: those of the server that are threads of a client's core."""

    server: frozenset[int]
    client: frozenset[int]
    shared: frozenset[int] = frozenset()


def divide(cpus: Iterable[int], clients: int = 1, siblings: Callable[[int], frozenset[int]] = sibling_cpus) -> Cores:
    """The last CPU for the client, which needs one, and the others for the server, which computes on its own.

    Of `clients` processes each has one, as far as half of the CPUs go. `siblings`: the CPUs of a CPU's core, itself
    among them. The other threads of a client's core are nobody's, since each would slow the other down; where that
    left the server one core or none, they are the server's, and shared.

    Raises ValueError for fewer than two.
    """
    numbers = sorted(cpus)
    if len(numbers) < LEAST_CORES:
        raise ValueError(TOO_FEW_CORES.format(len(numbers)))
    given = max(1, min(clients, len(numbers) // 2))
    server, client = frozenset(numbers[:-given]), frozenset(numbers[-given:])
    beside = frozenset(cpu for own in client for cpu in siblings(own)) & server
    if len({siblings(cpu) for cpu in server - beside}) > 1:
        return Cores(server - beside, client)
    return Cores(server, client, beside)


@contextmanager
def confined_to(cpus: frozenset[int] | None) -> Iterator[None]:
    """This thread, and the threads and processes that it starts meanwhile, on these CPUs; None: on all it has."""
    if cpus is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
