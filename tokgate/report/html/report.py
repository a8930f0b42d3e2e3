"""The report's page: one session, or several to choose from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tokgate.gate.verdict import Outcome
from tokgate.report.html.blocks import Page, Part, Section
from tokgate.report.html.data import SessionFacts
from tokgate.report.html.nights import row_charts
from tokgate.report.html.sections import session_part
from tokgate.report.html.tables import sessions_table

_GRAVE = (Outcome.INVALID, Outcome.FAIL)


def report_page(sessions: Sequence[SessionFacts], made: str) -> Page:
    """The newest session is shown first. `made`: when and by what, for the foot of the page."""
    ordered = sorted(sessions, key=lambda facts: facts.session.started)
    parts = [session_part(facts) for facts in ordered]
    if len(parts) > 1:
        parts = [_among(part, ordered) for part in parts]
    title = f"tokgate: {ordered[-1].session.machine_id}, {ordered[-1].started}"
    return Page(title, parts, made, len(parts) - 1, row_charts(ordered))


def _among(part: Part, sessions: Sequence[SessionFacts]) -> Part:
    """With all of the report's sessions, and a word on those that did not pass."""
    failed = [facts for facts in sessions if facts.verdict.outcome in _GRAVE]
    note = f"{len(failed)} of the {len(sessions)} sessions in this report failed or cannot be believed."
    notes = [note, *part.summary.notes] if failed else part.summary.notes
    section = Section(
        "sessions", "Sessions in this report", "Chosen at the top of the page.", [sessions_table(sessions)]
    )
    return replace(part, summary=replace(part.summary, notes=notes), sections=[*part.sections, section])
