"""`tokgate doctor`: is this machine set up to measure?"""

from __future__ import annotations

import argparse
import sys
from typing import Any

_PATIENCE_S = 600.0


def add(commands: Any) -> None:
    parser = commands.add_parser("doctor", help="is this machine set up to measure?")
    parser.add_argument("--json", action="store_true", help="the checks as one JSON array")
    parser.add_argument(
        "--client",
        action="store_true",
        help="instead: what the load client's figures are worth here, against a stub server (a minute and a half)",
    )
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    from tokgate.report.checks import print_checks, print_found

    if not args.client:
        return print_checks(as_json=args.json)

    from tokgate.machine.lock import cpu_device_name, device_lock
    from tokgate.serving.clientdoctor import client_checks

    def tell(what: str) -> None:
        print(what, file=sys.stderr)

    with device_lock(cpu_device_name(), _PATIENCE_S, tell):
        return print_found(client_checks(tell), as_json=args.json)
