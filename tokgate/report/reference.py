"""What a report says of the reference that rows were paired with."""

from __future__ import annotations

from tokgate.environment import differences
from tokgate.session import Session


def reference_lines(session: Session) -> list[str]:
    """In what reference and candidate differ, and which pairs were lost; nothing where there was no reference."""
    reference = session.provenance.get("reference")
    if reference is None:
        return []
    if not any(row.pairs for row in session.rows):
        return ["reference: not measured; the accepted sessions settle every row"] if session.valid else []
    found = differences({"python": reference["python"], **reference["software"]}, session.software)
    if found:
        lines = [f"reference -> candidate: {', '.join(map(str, found))}"]
    else:
        lines = ["reference and candidate: no version differs; an A/A run, unless their builds do"]
    groups = session.telemetry.get("groups", {}).values()
    return lines + [f"note: {note}" for group in groups for note in group.get("notes", [])]
