"""What a group's heading says beside its name: memory, and of a GPU its power, its energy and what limits it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tokgate.report.details import Details, details, launches_of
from tokgate.report.starts import new_in_caches, starts_text
from tokgate.report.units import text_of
from tokgate.session import Session

# Slow probes over fast ones from which on it is told; no verdict depends on it.
_STEADY = 1.25
# Of fewer, the ninetieth of a hundred is all but the slowest one.
_LEAST_PROBES = 20


def heading_facts(session: Session, group: str, scenarios: Sequence[str]) -> str:
    """The peak memory of the device, loading included; of GPUs their mean power too, where a round was long enough."""
    rows = details(session, group, scenarios)
    peaks = [row.memory_bytes for row in rows if row.memory_bytes is not None]
    if session.machine_kind != "gpu":
        peaks += [launch.get("load_peak_bytes", 0) for launch in launches_of(session, group)]
        return f"peak {text_of(max(peaks), 'B')}" if peaks else ""
    powers = [row.power_w for row in rows if row.power_w is not None]
    facts = [f"GPU memory {text_of(max(peaks), 'B')}"] if peaks else []
    facts += [_range([f"{power:.0f}" for power in (min(powers), max(powers))], " W")] if powers else []
    return ", ".join(facts)


def gpu_lines(session: Session, group: str, scenarios: Sequence[str]) -> list[str]:
    """How near its decode came to the roofline and at what energy, a cold start, an unsteady host; [] on a CPU."""
    if session.machine_kind != "gpu":
        return []
    rows = details(session, group, scenarios)
    facts = [text for text in (_decode(rows), _energy(rows)) if text]
    launches = launches_of(session, group)
    cold = any(map(new_in_caches, launches))
    unsteady = _unsteady_host(launches)
    return [
        *(["; ".join(facts)] if facts else []),
        *([starts_text(launches)] if cold else []),
        *([unsteady] if unsteady else []),
    ]


def _unsteady_host(launches: Sequence[Mapping[str, Any]]) -> str:
    """Where a core of the host was not as fast beside one round as beside another: rows that wait for it vary so too.

    From the tenth to the ninetieth of a hundred probes, since a single one may be a blip; "" of fewer than 20.
    """
    rounds = [event for launch in launches for event in launch.get("rounds", ())]
    probes_ms = [1e3 * seconds for event in rounds for seconds in event.get("loop_s", ())]
    if len(probes_ms) < _LEAST_PROBES:
        return ""
    low, high = np.quantile(probes_ms, (0.1, 0.9))
    if high <= _STEADY * low:
        return ""
    return f"the host was unsteady: one core took {low:.1f}-{high:.1f} ms for the same work beside the rounds"


def _decode(rows: Sequence[Details]) -> str:
    shares = sorted(row.decode_share for row in rows if row.decode_share is not None)
    if not shares:
        return ""
    bounds = Counter(row.decode_bound for row in rows if row.decode_bound is not None)
    limits = ", ".join(f"{count} {limit}" for limit, count in bounds.most_common())
    reached = _range([f"{100 * share:.0f}" for share in (shares[0], shares[-1])], "%")
    return f"roofline: decode {reached} ({limits})"


def _energy(rows: Sequence[Details]) -> str:
    energies = sorted(row.energy_j for row in rows if row.energy_j is not None)
    return _range([f"{energy:.2g}" for energy in (energies[0], energies[-1])], " J/token") if energies else ""


def _range(ends: Sequence[str], unit: str) -> str:
    return "-".join(dict.fromkeys(ends)) + unit
