"""Whether two fingerprints are of one machine, and what changed in machine and software since acceptance."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tokgate.gate.history import Accepted
from tokgate.session import Session

ABSENT = "absent"
# Power limit, MIG, GPU name and count, memory, CPU model, cores: what a machine is, not how it fares.
_STABLE = re.compile(r"power_limit|mig(_|$)|(gpu_)?(name|count|memory)(_|$)|gpus?$|cpu_(model|name)|(usable_)?cores$")
_PASSING = re.compile(r"free|used|available")


@dataclass(frozen=True)
class Difference:
    """A fact that was `before` in the newest accepted session and is `now`; what: "software" or "machine"."""

    what: str
    name: str
    before: str
    now: str

    def __str__(self) -> str:
        return f"{self.name} {self.before} -> {self.now}"


def stable_differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Difference]:
    """Stable facts that differ between two fingerprints.

    A fact that stands on one side only differs too, except where the other side records no stable fact at
    all: files made by hand or by another tool have an id and a kind, and the id has to do.
    """
    old, new = stable_facts(before), stable_facts(now)
    if not old or not new:
        return []
    return [
        Difference("machine", name, str(old.get(name, ABSENT)), str(new.get(name, ABSENT)))
        for name in sorted({*old, *new})
        if old.get(name, ABSENT) != new.get(name, ABSENT)
    ]


def stable_facts(fingerprint: Mapping[str, Any]) -> dict[str, Any]:
    """fingerprint["stable"], and what other tools write beside the id under names that say as much."""
    beside = {name: value for name, value in fingerprint.items() if _STABLE.match(name) and not _PASSING.search(name)}
    return {**beside, **(fingerprint.get("stable") or {})}


def changes_since(accepted: Iterable[Accepted], session: Session) -> list[Difference]:
    """Software versions and machine facts whose value now was seen in no accepted session.

    Facts that vary among the accepted sessions and have been as now before (clocks, free memory) are left
    out, and so are numbers that differ in every accepted session: they explain nothing.
    """
    history = sorted({entry.id: entry for entry in accepted}.values(), key=lambda entry: entry.when)
    if not history:
        return []
    found = _changes("software", [entry.software for entry in history], session.software)
    facts = [_flat(_lasting(entry.fingerprint)) for entry in history]
    return found + _changes("machine", facts, _flat(_lasting(session.machine)))


def _lasting(fingerprint: Mapping[str, Any]) -> dict[str, Any]:
    """Without the machine's peaks, which are measured anew each night: gate/achieved.py tells when they fell."""
    return {name: value for name, value in fingerprint.items() if name != "measured"}


def _changes(what: str, history: Sequence[Mapping[str, Any]], now: Mapping[str, Any]) -> list[Difference]:
    found = []
    for name in sorted({*history[-1], *now}):
        seen = [str(facts.get(name, ABSENT)) for facts in history]
        value = str(now.get(name, ABSENT))
        restless = len(seen) > 1 and len(set(seen)) == len(seen)
        if value not in seen and not (restless and what == "machine"):
            found.append(Difference(what, name, seen[-1], value))
    return found


def _flat(facts: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"gpu": {"driver": 1}} as {"gpu.driver": 1}; the stable facts without their prefix, lists left out."""
    flat: dict[str, Any] = {}
    for name, value in facts.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, prefix if not prefix and name == "stable" else f"{prefix}{name}.")
        elif not isinstance(value, list):
            flat[f"{prefix}{name}"] = value
    return flat
