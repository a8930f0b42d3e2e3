"""The page of a pytest run: made after everything is measured, and never a reason for another outcome."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokgate.run import DeviceRun


@dataclass(frozen=True)
class PageWritten:
    """What the summary says of it."""

    text: str
    failed: bool = False


def write_page(runs: Iterable[DeviceRun], path: Path) -> PageWritten:
    """Writes the page of all that was measured; what goes wrong is told, not raised."""
    try:
        # Imported here: a missing package must not end a run that has measured for hours.
        from tokgate.report.html.data import session_facts
        from tokgate.report.html.publish import publish_report

        facts = [
            session_facts(run.session(), run.shown_verdict(), run.baselines, run.session_path.name) for run in runs
        ]
        publish_report(facts, path)
    except Exception:  # whatever it is, the figures are measured and judged, and the sessions saved
        fault = traceback.format_exc().rstrip()
        return PageWritten(f"{fault}\ntokgate: NO REPORT: {path} was not written; the sessions are kept", failed=True)
    return PageWritten(f"report: {path}")
