"""`tokgate report`: what stands beside the speed in stored sessions, without judging them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from tokgate.errors import InputError


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "report", help="show roofline, energy, memory and KV cache of stored sessions, row by row"
    )
    parser.add_argument("sessions", nargs="+", type=Path, metavar="SESSION", help="session or pytest-benchmark files")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    from tokgate import session
    from tokgate.report.details_table import print_details

    refusal: InputError | None = None
    for path in args.sessions:
        try:
            found = session.read(path)
        except InputError as error:
            # The others are shown all the same.
            print(f"tokgate: {error}", file=sys.stderr)
            refusal = error
            continue
        print_details(found)
    return 0 if refusal is None else refusal.exit_status
