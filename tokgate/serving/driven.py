"""One round's load, once it was driven: what it gave, and whether it can stand. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from tokgate.plan import Device, PlanRow, Traffic
from tokgate.serving.crosscheck import CrossCheck
from tokgate.serving.figures import figures_of, load_fault, work_of
from tokgate.serving.load import LoadResult
from tokgate.serving.request import Request
from tokgate.serving.users.tally import LoadTest, locust_fault, tally, told


@dataclass(frozen=True)
class Driven:
    """`fault`: why its work was not what was planned; `late`: why the client may be what was measured, or the rate
    that it sent at another than was meant; `told`: what else goes into the round's event, its tokens among it."""

    total_s: float
    figures: dict[str, float]
    fault: str | None
    late: str | None
    told: dict[str, Any]

    def doubts(self, disturbed: str | None, traffic: Traffic, device: Device) -> str | None:
        """Why the round is measured again, and gives no figures where that is not possible; None where it stands.

        `disturbed`: what the watch saw beside it. A fault is final: measured again, requests that failed would still
        have failed. On CPUs the two clients are told and not judged, and each command takes half a minute to start.
        """
        if self.fault is not None or (traffic.both_clients and device == "cpu"):
            return None
        return _joined(disturbed, self.late)


@dataclass(frozen=True)
class Capacity:
    """What a server carries of a row's requests in a closed loop.

    `fault`: why that is not known; `doubt`: why it may be more than was found, since others or the client held it up.
    """

    requests_per_s: float
    fault: str | None
    doubt: str | None = None

    def share_of(self, row: PlanRow) -> float:
        """The rate of the row's open loop, in requests a second."""
        assert row.traffic is not None
        assert row.traffic.open_share is not None, f"{row.scenario} is no open loop"
        return row.traffic.open_share * self.requests_per_s


def closed_loop_of(row: PlanRow) -> PlanRow:
    """The load that the rate of the row's open loop is a share of; rows of equal ones have one capacity."""
    assert row.traffic is not None
    return replace(row, scenario="", traffic=replace(row.traffic, open_share=None))


def capacity_of(
    row: PlanRow, requests: Sequence[Request], result: LoadResult, disturbed: str | None = None
) -> Capacity:
    """`disturbed`: what the watch saw beside it.

    Raises ValueError where no request succeeded: then there is no rate to take a share of.
    """
    fault = load_fault(row, requests, result)
    if not result.successes:
        raise ValueError(
            f"{row.scenario}: no request succeeded in the closed loop that its rate is a share of: {fault}"
        )
    # What fails is off the server's hands: the rate would be another, and the row as much easier or harder.
    doubt = None if fault else _joined(disturbed, result.client_fault())
    told = "its rate is a share of what a closed loop found, in which "
    return Capacity(len(result.successes) / result.duration_s, fault and told + fault, doubt and told + doubt)


def by_one_client(
    row: PlanRow, requests: Sequence[Request], result: LoadResult, capacity: Capacity | None = None
) -> Driven:
    """Of tokgate's client; `capacity`: what the rate of an open loop is a share of."""
    fault = load_fault(row, requests, result) or (capacity.fault if capacity else None)
    figures = figures_of(row, requests, result) if fault is None else {}
    rate = capacity.share_of(row) if capacity else None
    about = {**work_of(result), "client": asdict(result.health), "rate": rate}
    late = _joined(result.client_fault(), capacity.doubt if capacity else None)
    return Driven(result.duration_s, figures, fault, late, about)


def by_both_clients(row: PlanRow, found: CrossCheck) -> Driven:
    # Both commands were held to the row's tokens.
    told = {"prompt_tokens": row.prompt_tokens, "output_tokens": row.output_tokens, "untold": found.untold}
    return Driven(found.total_s, found.figures, found.fault, found.doubt, told)


def by_users(test: LoadTest, workers: int) -> Driven:
    """`workers` of Locust's, 0: one process drove them all."""
    found = tally(test.requests)
    fault = found.fault()
    figures = found.figures() if fault is None else {}
    late = locust_fault(test.processes, expected=max(1, workers))
    return Driven(found.duration_s, figures, fault, late, told(test, found))


def _joined(*doubts: str | None) -> str | None:
    return "; ".join(doubt for doubt in doubts if doubt) or None
