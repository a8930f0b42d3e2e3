"""`tokgate doctor`: is this machine set up to measure?"""

from __future__ import annotations

import argparse
from typing import Any


def add(commands: Any) -> None:
    parser = commands.add_parser("doctor", help="is this machine set up to measure?")
    parser.add_argument("--json", action="store_true", help="the checks as one JSON array")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    from tokgate.report.checks import print_checks

    return print_checks(as_json=args.json)
