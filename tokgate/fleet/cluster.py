"""The Ray cluster: its nodes, and one task on each. Nothing else imports ray, which only `tokgate fleet` needs."""

from __future__ import annotations

import logging
import re
import socket
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass
from typing import Any

from tokgate import killing
from tokgate.errors import InputError
from tokgate.fleet import task
from tokgate.fleet.task import Answer, Order

# A worker that crashed is Ray's to start again, once: the second crash is the node's own.
_RETRIES = 1
# Ray runs tasks at niceness 15, at which whoever else wants the cores goes before the measurement.
_AT_FULL_PRIORITY = {"env_vars": {"RAY_worker_niceness": "0"}}
# For the answer to come back after the node's own timeout.
_GRACE_S = 120.0
_CANCEL_S = 40.0
_CONNECT_S = 10.0
# A node's own tokgate is for its pytest, and may be where Ray's Python does not look.
CARRIED = (task, killing)
_ANSI = re.compile(r"\x1b\[\d*m")


@dataclass(frozen=True)
class Node:
    """A node by Ray's id and by a name that no other node has; `cpus` and `gpus` are what Ray may place there."""

    id: str
    name: str
    cpus: float
    gpus: float


@dataclass(frozen=True)
class Ended:
    """What came of a node's task: its answer, or else why there is none."""

    node: Node
    answer: Answer | None
    reason: str = ""


class Cluster:
    def __init__(self, ray: Any) -> None:
        self._ray = ray

    def nodes(self) -> tuple[list[Node], list[str]]:
        """The alive nodes, by name; and the names of those left out: Ray may place nothing on a node without CPUs."""
        alive = [node for node in self._ray.nodes() if node["Alive"]]
        names = [_name(node) for node in alive]
        count = Counter(names)
        nodes = [
            Node(
                found["NodeID"],
                name if count[name] == 1 else f"{name}-{found['NodeID'][:6]}",
                found["Resources"].get("CPU", 0.0),
                found["Resources"].get("GPU", 0.0),
            )
            for found, name in zip(alive, names, strict=True)
        ]
        nodes.sort(key=lambda node: node.name)
        return [node for node in nodes if node.cpus], [node.name for node in nodes if not node.cpus]

    def run(self, nodes: Sequence[Node], order: Order) -> Generator[Ended, None, None]:
        """Runs the order once on each node; yields them as they end. Closed or interrupted, it cancels the others."""
        waiting = {self._submit(node, order): node for node in nodes}
        deadline_s = time.monotonic() + order.timeout_s + _GRACE_S
        try:
            while waiting:
                ready, _ = self._ray.wait(list(waiting), timeout=max(0.0, deadline_s - time.monotonic()))
                for reference in ready:
                    yield self._ended(waiting.pop(reference), reference)
                if not ready:
                    break
            for node in waiting.values():
                yield Ended(node, None, f"no answer after {order.timeout_s + _GRACE_S:g} s: {self._why_silent(node)}")
        finally:
            self._cancel(list(waiting))

    def _submit(self, node: Node, order: Order) -> Any:
        """All of the node's cores and GPUs are the task's: Ray places nothing of its own beside the measurement."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        placed = self._ray.remote(task.carried).options(
            name=f"tokgate fleet on {node.name}",
            num_cpus=node.cpus,
            num_gpus=node.gpus,
            max_retries=_RETRIES,
            runtime_env=_AT_FULL_PRIORITY,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False),
        )
        return placed.remote(asdict(order))

    def _ended(self, node: Node, reference: Any) -> Ended:
        try:
            return Ended(node, Answer(**self._ray.get(reference)))
        except self._ray.exceptions.RayError as error:
            return Ended(node, None, self._why_dead(node) or f"Ray lost its run: {_words(error)}")

    def _why_dead(self, node: Node) -> str:
        """Empty while Ray holds it to be alive."""
        found = next((found for found in self._ray.nodes() if found["NodeID"] == node.id), None)
        if found is not None and found["Alive"]:
            return ""
        said = (found or {}).get("DeathReasonMessage")
        return f"the node died while it measured{f', Ray says: {said}' if said else ''}"

    def _why_silent(self, node: Node) -> str:
        return self._why_dead(node) or "other Ray work may hold its cores (ray status), or the network is gone"

    def _cancel(self, references: list[Any]) -> None:
        """Interrupts tasks, so that they stop their pytest; those that do not end are killed."""
        if not references:
            return
        for reference in references:
            self._ray.cancel(reference)
        _, left = self._ray.wait(references, num_returns=len(references), timeout=_CANCEL_S)
        for reference in left:
            self._ray.cancel(reference, force=True)


@contextmanager
def connect(address: str) -> Iterator[Cluster]:
    """The cluster at `address` ("auto", HOST:PORT), from a machine that has joined it. Raises InputError.

    Meanwhile standard output is standard error: Ray prints what its daemons say, some of it as it shuts down.
    """
    try:
        import ray
    except ImportError:
        raise InputError("ray is not installed here; a fleet needs it: pip install -r requirements-fleet.txt") from None
    with redirect_stdout(sys.stderr):
        try:
            _check_answers(address)
            # Its warnings come with the reasons of the nodes.
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (OSError, RuntimeError, ValueError, ImportError) as error:
            raise InputError(
                f"--ray {address}: no Ray cluster can be reached there: {_words(error)}; this machine must be of the "
                f"cluster too: ray start --address=HOST:PORT --num-cpus=0"
            ) from None
        for module in CARRIED:
            ray.cloudpickle.register_pickle_by_value(module)
        try:
            yield Cluster(ray)
        finally:
            for module in CARRIED:
                ray.cloudpickle.unregister_pickle_by_value(module)
            ray.shutdown()


def _check_answers(address: str) -> None:
    """Raises OSError where nothing listens: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=_CONNECT_S).close()


def _name(node: dict[str, Any]) -> str:
    """As `ray start --node-name` says; without it Ray repeats the address, and the host's name says more."""
    named = node.get("NodeName")
    return str(named if named and named != node["NodeManagerAddress"] else node["NodeManagerHostname"])


def _words(error: BaseException) -> str:
    """The last line of what Ray says: before it stand stacks."""
    lines = _ANSI.sub("", str(error)).strip().splitlines()
    return lines[-1].strip() if lines else type(error).__name__
