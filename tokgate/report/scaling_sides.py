"""Which groups of stored sessions may stand in one scaling table: all alike but for the number of GPUs. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tokgate import tomltext
from tokgate.gate.fingerprint import ABSENT, Difference, stable_differences, stable_facts
from tokgate.gate.judge import invalid_reasons
from tokgate.report.figures import scenarios_by_group
from tokgate.session import Row, Session

ENGINE = "vllm"
_TP = re.compile(r"tp([1-9]\d{0,3})")
_COUNT = re.compile(r"-x\d+$")
_GPU_COUNT = "gpu_count"


@dataclass(frozen=True)
class Measured:
    """A group in a session. `base`: its id without tpN; `gpus`: that N, or 1."""

    base: str
    gpus: int
    group: str
    session: Session

    @property
    def labels(self) -> list[str]:
        """Its scenarios within the group, such as b1.p32.o512."""
        return [name.removeprefix(f"{self.group}.") for name in scenarios_by_group(self.session.rows)[self.group]]

    def row(self, label: str, metric: str) -> Row | None:
        key = f"{self.group}.{label}", metric
        return next((row for row in self.session.rows if row.key == key), None)


def why_not(session: Session) -> str:
    """Why no row of it can be compared; "" if they can."""
    if session.machine_kind != "gpu":
        return f"measured on a CPU, {session.machine_id}"
    if session.given:
        return f"measured with {tomltext.pairs(session.given)}, which its ids do not say"
    reasons = invalid_reasons(session)
    more = f", and {len(reasons) - 1} more" if len(reasons) > 1 else ""
    return f"INVALID: {reasons[0]}{more}" if reasons else ""


def by_base(sessions: Iterable[Session]) -> list[list[Measured]]:
    """The groups of all sessions that differ in nothing but tpN, together; the oldest session first."""
    found: dict[str, list[Measured]] = {}
    for session in sorted(sessions, key=lambda session: session.started):
        for group in scenarios_by_group(session.rows):
            words = group.split(".")
            counts = [int(match[1]) for word in words if (match := _TP.fullmatch(word))]
            base = ".".join(word for word in words if not _TP.fullmatch(word))
            found.setdefault(base, []).append(Measured(base, counts[0] if counts else 1, group, session))
    return list(found.values())


def alike(found: Sequence[Measured]) -> list[list[Measured]]:
    """Parts whose sessions may be compared, each in the order of `found`; the part of the newest first."""
    parts: list[list[Measured]] = []
    for each in reversed(found):
        part = next((part for part in parts if not any(_apart(other, each) for other in part)), None)
        if part is None:
            parts.append([each])
        else:
            part.insert(0, each)
    return parts


def differences(one: Session, other: Session) -> list[Difference]:
    """Why two sessions cannot be compared. How many GPUs they have is no reason: it is what is asked."""
    sides = [("profile", one.profile, other.profile), (ENGINE, version(one), version(other))]
    if not (stable_facts(one.machine) and stable_facts(other.machine)):
        sides.append(("machine", _model_id(one), _model_id(other)))
    named = [Difference("", name, before, now) for name, before, now in sides if before != now]
    stable = stable_differences(one.machine, other.machine)
    return [*named, *(each for each in stable if each.name != _GPU_COUNT)]


def version(session: Session) -> str:
    return session.software.get(ENGINE, ABSENT)


def gpu_of(session: Session) -> str:
    """The GPU's name; of a session that records none the machine's id, without its -xN."""
    return str(stable_facts(session.machine).get("gpu_name") or _model_id(session))


def _model_id(session: Session) -> str:
    return _COUNT.sub("", session.machine_id)


def _apart(one: Measured, other: Measured) -> bool:
    return bool(differences(one.session, other.session))
