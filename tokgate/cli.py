"""The `tokgate` command: what is not a test run.

Exit status: 0 pass, 1 regression or broken limit, 2 bad input, 3 nothing to compare with where a baseline is
required, 4 invalid measurement, or inconclusive under --strict; of several the first of 2, 4, 1, 3. 70: tokgate itself
failed, which is no verdict.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Sequence

from tokgate import __version__
from tokgate.commands import (
    ab,
    accept,
    bench,
    doctor,
    fleet,
    generate_service,
    judge,
    prove,
    report,
    stub_server,
    summary,
    sweep,
)
from tokgate.commands.options import CommandParser
from tokgate.errors import TokgateError

COMMANDS = (accept, judge, report, summary, bench, doctor, prove, ab, sweep, fleet, generate_service, stub_server)
_SIGPIPE_STATUS = 128 + 13
# EX_SOFTWARE of sysexits.h.
_FAULT_STATUS = 70


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status."""
    args = _parsed(argv)
    command: Callable[[argparse.Namespace], int] = args.command
    try:
        return command(args)
    except TokgateError as error:
        print(f"tokgate: {error}", file=sys.stderr)
        return error.exit_status
    except BrokenPipeError:
        # Whoever reads our output has seen enough (`| head`). Not 0: what was left to say may be a regression.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _SIGPIPE_STATUS
    except OSError as error:
        print(f"tokgate: {error}; nothing was left half written", file=sys.stderr)
        return 2
    except Exception:  # a fault of ours: Python would exit with 1, which is a regression here
        traceback.print_exc()
        print("tokgate: this is a fault of tokgate itself, and no verdict", file=sys.stderr)
        return _FAULT_STATUS


def _parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments; what a command does not know itself it may pass on, as `fleet` does to pytest."""
    args: argparse.Namespace
    args, passed_on = _parser().parse_known_args(argv)
    args.passed_on = passed_on
    return args


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="tokgate", description="Baselines and verdicts for LLM inference performance.", epilog=__doc__
    )
    parser.add_argument("--version", action="version", version=f"tokgate {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return parser
