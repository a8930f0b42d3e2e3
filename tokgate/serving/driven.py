"""One round's load, once it was driven: what it gave, and whether it can stand. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tokgate.plan import Device, PlanRow, Traffic
from tokgate.serving.crosscheck import CrossCheck
from tokgate.serving.figures import figures_of, load_fault, work_of
from tokgate.serving.load import LoadResult
from tokgate.serving.request import Request
from tokgate.serving.users.tally import LoadTest, locust_fault, tally, told


@dataclass(frozen=True)
class Driven:
    """`fault`: why its work was not what was planned; `late`: why the client may be what was measured; `told`: what
    else goes into the round's event, its tokens among it."""

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
        return "; ".join(doubt for doubt in (disturbed, self.late) if doubt) or None


def by_one_client(row: PlanRow, requests: Sequence[Request], result: LoadResult, rate: float | None) -> Driven:
    """Of tokgate's client; `rate`: requests a second, of an open loop."""
    fault = load_fault(row, requests, result)
    figures = figures_of(row, requests, result) if fault is None else {}
    about = {**work_of(result), "client": asdict(result.health), "rate": rate}
    return Driven(result.duration_s, figures, fault, result.client_fault(), about)


def by_both_clients(row: PlanRow, found: CrossCheck) -> Driven:
    # Both commands were held to the row's tokens.
    tokens = {"prompt_tokens": row.prompt_tokens, "output_tokens": row.output_tokens}
    return Driven(found.total_s, found.figures, found.fault, found.doubt, tokens)


def by_users(test: LoadTest, workers: int) -> Driven:
    """`workers` of Locust's, 0: one process drove them all."""
    found = tally(test.requests)
    fault = found.fault()
    figures = found.figures() if fault is None else {}
    late = locust_fault(test.processes, expected=max(1, workers))
    return Driven(found.duration_s, figures, fault, late, told(test, found))
