"""Writes the pages: reads session files and baselines, and leaves one HTML file."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tokgate import __version__, session
from tokgate.baselines import Shelf
from tokgate.errors import InputError
from tokgate.judging import Judged, judge_file
from tokgate.report.html.blocks import Page
from tokgate.report.html.compare import compare_page
from tokgate.report.html.data import SessionFacts, session_facts
from tokgate.report.html.ladder import ladder_page
from tokgate.report.html.page import render
from tokgate.report.html.report import report_page
from tokgate.report.html.trends import trends_page
from tokgate.report.ladder import Climb
from tokgate.session import Session, write_atomically


def publish(page: Page, path: Path) -> Path:
    """Writes the page whole or not at all."""
    write_atomically(path, render(page).encode())
    return path


def publish_report(sessions: Sequence[SessionFacts], path: Path) -> Path:
    return publish(report_page(sessions, made()), path)


def publish_comparison(first: SessionFacts, second: SessionFacts, path: Path) -> Path:
    """Raises InputError where the two have no shape in common."""
    return publish(compare_page(first, second, made()), path)


def publish_ladder(climb: Climb, files: Mapping[str, str], path: Path) -> Path:
    """`files`: the file of each session, by its id."""
    return publish(ladder_page(climb, files, made()), path)


def publish_trends(machine: str | None, folder: Path, shelf: Shelf, path: Path) -> Path:
    """Over the sessions in `folder` and the accepted ones.

    Without `machine`, of the only one that `folder` has sessions of, or else of the only one that there is: the
    accepted ones may be tokgate's own, of machines that the user has never seen.

    Raises InputError where nothing is known of the machine, or several are and none is named. A file that is no session
    is told and left out.
    """
    found = list(_sessions(folder))
    saved = {each.machine_id for each, _ in found}
    known = sorted(saved | _accepted_machines(shelf.root))
    if machine is None:
        machine = next((one for each in (saved, known) if len(each) == 1 for one in each), None)
    if machine is None or machine not in known:
        asked = "which machine" if machine is None else f"no session of {machine!r}"
        there = ", ".join(known) or f"none at all in {folder} or {shelf.root}"
        raise InputError(f"--trends: {asked}: there are {there}; name one: --trends MACHINE")
    mine = [(each, file) for each, file in found if each.machine_id == machine]
    return publish(trends_page(machine, mine, shelf.baselines(machine), made()), path)


def judged_facts(path: Path, shelf: Shelf, machine: str | None = None) -> SessionFacts:
    """The facts of the one session in a file, judged. Raises InputError."""
    return facts_of(judge_file(path, shelf, machine))


def facts_of(judged: Judged) -> SessionFacts:
    return session_facts(judged.session, judged.verdict, judged.baselines, judged.file)


def _sessions(folder: Path) -> list[tuple[Session, str]]:
    found: list[tuple[Session, str]] = []
    for path in sorted(folder.glob("*.json")):
        try:
            found += [(each, path.name) for each in session.read_all(path)]
        except InputError as error:
            print(f"tokgate: left out: {error}", file=sys.stderr)
    return found


def _accepted_machines(root: Path) -> set[str]:
    """Of folders that hold accepted scenarios, not limits alone."""
    return {path.parent.name for path in root.glob("*/[!.]*.json")}


def made() -> str:
    now = datetime.datetime.now(datetime.timezone.utc)
    return f"Made by tokgate {__version__} on {now:%Y-%m-%d %H:%M} UTC. One file; nothing is fetched."
