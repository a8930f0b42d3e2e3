"""What a report says of the reference that rows were paired with."""

from __future__ import annotations

from tokgate import tomltext
from tokgate.environment import differences
from tokgate.gate.chosen import choice_changes, choices_of
from tokgate.session import Session

# A package that an environment has not, as models/artifacts.py says it.
_ABSENT = "none"


def reference_lines(session: Session) -> list[str]:
    """In what reference and candidate differ; nothing where there was no reference."""
    reference = session.provenance.get("reference")
    if reference is None:
        return []
    if not any(row.pairs for row in session.rows):
        return ["reference: not measured; the accepted sessions settle every row"] if session.valid else []
    found = differences({"python": reference["python"], **reference["software"]}, session.software)
    told = [
        f"{what}: {', '.join(items)}"
        for what, items in (
            ("reference -> candidate", [str(item) for item in found if _ABSENT not in (item.before, item.now)]),
            ("only in the reference", [item.name for item in found if item.now == _ABSENT]),
            ("only in the candidate", [item.name for item in found if item.before == _ABSENT]),
            ("given to the candidate alone", [tomltext.pairs(session.given)] if session.given else []),
        )
        if items
    ]
    lines = ["; ".join(told) or "reference and candidate: no version differs; an A/A run, unless their builds do"]
    groups = session.telemetry.get("groups", {})
    for name, group in groups.items():
        now, before = (choices_of(group.get(whose), session.software) for whose in ("engine", "reference_engine"))
        lines += [f"{name}: {change}" for change in choice_changes(now, [before])]
    return lines
