"""`tokgate accept`: make sessions the baseline of their machine; the only way to."""

from __future__ import annotations

import argparse
import datetime
import getpass
from pathlib import Path
from typing import Any

from tokgate.commands.options import add_baselines


def add(commands: Any) -> None:
    parser = commands.add_parser("accept", help="make sessions the baseline of their machine; the only way to")
    parser.add_argument("sessions", nargs="+", type=Path, metavar="SESSION", help="session files of .tokgate/sessions/")
    parser.add_argument("--reason", required=True, help="why these are what the future is held against")
    parser.add_argument("--replace", action="store_true", help="start anew instead of adding to what is there")
    parser.add_argument("--skip-invalid", action="store_true", help="leave invalid sessions out, accept the rest")
    add_baselines(parser)
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    from tokgate import baselines, session

    sessions = [session.read(path) for path in args.sessions]
    for invalid in [found for found in sessions if args.skip_invalid and not found.valid]:
        print(f"left out {invalid.id}: {invalid.reasons[0]}")
        sessions.remove(invalid)
    now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    changes = baselines.accept(
        sessions, args.baselines, reason=args.reason, replace=args.replace, who=getpass.getuser(), now=now
    )
    for change in changes:
        print(change)
    print(f"\nReview and commit: git diff {args.baselines}")
    return 0
