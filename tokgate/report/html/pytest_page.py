"""The page of a pytest run: made after everything is measured, and never a reason for another outcome."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokgate.report.html.data import SessionFacts
    from tokgate.run import DeviceRun
    from tokgate.session import Session


@dataclass(frozen=True)
class PageWritten:
    """What the summary says of it."""

    text: str
    failed: bool = False


def write_page(runs: Iterable[DeviceRun], path: Path) -> PageWritten:
    """Writes the page of all that was measured; what goes wrong is told, not raised."""
    try:
        # Imported here: a missing package must not end a run that has measured for hours.
        from tokgate.report.html.publish import publish_report

        runs = list(runs)
        sessions = [run.session() for run in runs]
        publish_report([_facts(run, each, sessions) for run, each in zip(runs, sessions, strict=True)], path)
    except Exception:  # whatever it is, the figures are measured and judged, and the sessions saved
        fault = traceback.format_exc().rstrip()
        return PageWritten(f"{fault}\ntokgate: NO REPORT: {path} was not written; the sessions are kept", failed=True)
    return PageWritten(f"report: {path}")


def _facts(run: DeviceRun, session: Session, sessions: Sequence[Session]) -> SessionFacts:
    """`sessions`: of all runs."""
    from tokgate.gate.unmeasured import measured_beside, without_notes_on
    from tokgate.report.html.data import session_facts

    verdict = without_notes_on(measured_beside(session, sessions), run.shown_verdict())
    return session_facts(session, verdict, run.baselines, run.session_path.name)
