"""`tokgate accept`: make sessions the baseline of their machine; nothing else does."""

from __future__ import annotations

import argparse
import datetime
import getpass
import shlex
from pathlib import Path
from typing import Any

from tokgate.commands.options import add_baselines
from tokgate.errors import InputError


def add(commands: Any) -> None:
    parser = commands.add_parser("accept", help="make sessions the baseline of their machine")
    parser.add_argument(
        "sessions",
        nargs="+",
        type=Path,
        metavar="SESSION",
        help="session files of .tokgate/sessions/, or pytest-benchmark files",
    )
    parser.add_argument("--reason", required=True, help="why these are what the future is held against")
    parser.add_argument("--replace", action="store_true", help="start anew instead of adding to what is there")
    parser.add_argument(
        "--skip-invalid",
        action="store_true",
        help="leave invalid sessions and those of pytest's --perf-set out, accept the rest",
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="print every metric of every row, gated or not")
    add_baselines(parser)
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    from tokgate import baselines, session, tomltext
    from tokgate.report.accepted import print_changes

    sessions = [found for path in args.sessions for found in session.read_all(path)]
    named = len(sessions)
    for other in [found for found in sessions if args.skip_invalid and (not found.valid or found.given)]:
        why = other.reasons[0] if other.reasons else f"measured with {tomltext.pairs(other.given)}"
        print(f"left out {other.id}: {why}")
        sessions.remove(other)
    if not sessions:
        which = "the one that was" if named == 1 else f"all {named} that were"
        raise InputError(f"no session to accept: --skip-invalid left out {which} named")
    now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    changes = baselines.accept(
        sessions, args.baselines, reason=args.reason, replace=args.replace, who=getpass.getuser(), now=now
    )
    print_changes(changes, sessions, args.verbose)
    if any(change.written for change in changes):
        # A file that git does not know yet is in no diff before it is added.
        folder = shlex.quote(str(args.baselines))
        print(f"\nReview and commit: git add {folder} && git diff --cached {folder}")
    else:
        print("\nNothing changed: there is nothing to review")
    return 0
