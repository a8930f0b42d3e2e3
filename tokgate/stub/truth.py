"""What the server really did. All times are time.perf_counter(), seconds: one clock for all processes of a host."""

from __future__ import annotations

import statistics
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tokgate.stub.asked import Asked
from tokgate.stub.faults import HARMLESS, Fault

_Json = dict[str, Any]


@dataclass
class Record:
    """One request. `written_s`: each write with a token in it, just before it was handed to the socket.

    `buffered`: writes that the socket did not take whole, since the client had not read. `admitted_s`: when it had
    its place and the schedule began. `ended_s`: the last write of an answer that the server ended itself.
    """

    number: int
    path: str
    arrival_s: float
    asked: Asked | None = None
    fault: Fault | None = None
    admitted_s: float | None = None
    ended_s: float | None = None
    client_gone_s: float | None = None
    tokens: int = 0
    buffered: int = 0
    written_s: array[float] = field(default_factory=lambda: array("d"))

    @property
    def ended_well(self) -> bool:
        """A whole answer, by a client that stayed to the end: a load client must count this as a success."""
        return (
            self.asked is not None
            and self.ended_s is not None
            and self.tokens == self.asked.tokens
            and (self.fault is None or self.fault.kind in HARMLESS)
        )

    @property
    def ttft_s(self) -> float | None:
        """From the last byte of the request to the first token."""
        return self.written_s[0] - self.arrival_s if self.written_s else None

    @property
    def tpot_s(self) -> float | None:
        """(last token - first token) / (tokens - 1), as vLLM defines it."""
        if len(self.written_s) < 2:
            return None
        return (self.written_s[-1] - self.written_s[0]) / (self.tokens - 1)

    def as_json(self, full: bool = False) -> _Json:
        asked = self.asked
        told: _Json = {
            "number": self.number,
            "path": self.path,
            "stream": asked.stream if asked else None,
            "max_tokens": asked.tokens if asked else None,
            "prompt_tokens": asked.prompt_tokens if asked else None,
            "tokens": self.tokens,
            "fault": self.fault.name if self.fault else None,
            "ended_well": self.ended_well,
            "arrival_s": self.arrival_s,
            "admitted_s": self.admitted_s,
            "first_write_s": self.written_s[0] if self.written_s else None,
            "last_write_s": self.written_s[-1] if self.written_s else None,
            "writes": len(self.written_s),
            "buffered_writes": self.buffered,
            "ended_s": self.ended_s,
            "client_gone_s": self.client_gone_s,
            "ttft_s": self.ttft_s,
            "tpot_s": self.tpot_s,
        }
        return {**told, "written_s": self.written_s.tolist()} if full else told


@dataclass
class Truth:
    """All requests since the start or the last reset, and how late the server itself was.

    `lateness_s`: of every write, behind its time in the schedule: it says when the server was the bottleneck, which
    its CPU time does not, since it polls rather than sleeps through a timer's last millisecond. 16 bytes a write in
    all are kept.
    """

    cpu_at_start_s: float
    open_now: int = 0
    peak_open: int = 0
    records: list[Record] = field(default_factory=list)
    lateness_s: array[float] = field(default_factory=lambda: array("d"))

    def arrive(self, path: str, arrival_s: float) -> Record:
        record = Record(len(self.records), path, arrival_s)
        self.records.append(record)
        self.open_now += 1
        self.peak_open = max(self.peak_open, self.open_now)
        return record

    def leave(self) -> None:
        self.open_now -= 1

    def summary(self, cpu_s: float) -> _Json:
        """TTFT and TPOT are those of streamed answers that ended well."""
        well = [r for r in self.records if r.ended_well]
        streamed = [r for r in well if r.asked is not None and r.asked.stream]
        written_s = [(r.written_s[0], r.written_s[-1]) for r in self.records if r.written_s]
        return {
            "requests": len(self.records),
            "ended_well": len(well),
            "faults": sum(r.fault is not None for r in self.records),
            "clients_gone": sum(r.client_gone_s is not None for r in self.records),
            "open": self.open_now,
            "peak_open": self.peak_open,
            "tokens": sum(r.tokens for r in self.records),
            "tokens_ended_well": sum(r.tokens for r in well),
            "prompt_tokens": sum(r.asked.prompt_tokens for r in self.records if r.asked is not None),
            # Fewer than messages were due: the server was behind, and joined some.
            "writes": sum(len(r.written_s) for r in self.records),
            "writing_s": max(last for _, last in written_s) - min(first for first, _ in written_s)
            if written_s
            else 0.0,
            "ttft_s": _statistics(r.ttft_s for r in streamed),
            "tpot_s": _statistics(r.tpot_s for r in streamed),
            "lateness_s": _statistics(self.lateness_s),
            "cpu_s": cpu_s - self.cpu_at_start_s,
        }


def _statistics(values: Iterable[float | None]) -> _Json | None:
    """None where there is no value. Percentiles are interpolated, as numpy does by default and vLLM with it."""
    known: Sequence[float] = [value for value in values if value is not None]
    if not known:
        return None
    return {
        "mean": statistics.fmean(known),
        "p50": float(np.percentile(known, 50)),
        "p99": float(np.percentile(known, 99)),
        "max": max(known),
    }
