"""The `tokgate` command: what is not a test run.

Exit status: 0 pass, 1 regression or broken limit, 2 bad input, 3 nothing to compare with where a baseline is
required, 4 invalid measurement, or inconclusive under --strict; of several the first of 2, 4, 1, 3.
"""

from __future__ import annotations

import argparse
import datetime
import getpass
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tokgate import __version__
from tokgate.errors import InputError, TokgateError

_SIGPIPE_STATUS = 128 + 13

Command = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status."""
    args = _parser().parse_args(argv)
    command: Command = args.command
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tokgate", description="Baselines and verdicts for LLM inference performance.", epilog=__doc__
    )
    parser.add_argument("--version", action="version", version=f"tokgate {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    accept = commands.add_parser("accept", help="make sessions the baseline of their machine; the only way to")
    accept.add_argument("sessions", nargs="+", type=Path, metavar="SESSION", help="session files of .tokgate/sessions/")
    accept.add_argument("--reason", required=True, help="why these are what the future is held against")
    accept.add_argument("--replace", action="store_true", help="start anew instead of adding to what is there")
    accept.add_argument("--skip-invalid", action="store_true", help="leave invalid sessions out, accept the rest")
    _add_baselines(accept)
    accept.set_defaults(command=_accept)

    judge = commands.add_parser("judge", help="judge stored sessions against the baselines, without measuring")
    judge.add_argument("files", nargs="+", type=Path, metavar="FILE", help="session or pytest-benchmark files")
    judge.add_argument("--machine", metavar="ID", help="judge as this machine")
    judge.add_argument("--scenario", metavar="ID", help="only this scenario")
    judge.add_argument("--require-baseline", action="store_true", help="exit 3 where there is nothing to compare with")
    judge.add_argument("--strict", action="store_true", help="exit 4 where a row is inconclusive")
    judge.add_argument("--json", action="store_true", help="one JSON object a session, a line each")
    _add_baselines(judge)
    judge.set_defaults(command=_judge)

    doctor = commands.add_parser("doctor", help="is this machine set up to measure?")
    doctor.add_argument("--json", action="store_true", help="the checks as one JSON array")
    doctor.set_defaults(command=_doctor)
    return parser


def _add_baselines(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--baselines", type=Path, default=Path("baselines"), metavar="DIR", help="default: baselines")


def _accept(args: argparse.Namespace) -> int:
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


def _judge(args: argparse.Namespace) -> int:
    from tokgate.gate.verdict import exit_status, to_json
    from tokgate.judging import judge_file
    from tokgate.report.terminal import print_verdict

    if not args.baselines.exists():
        print(f"tokgate: there is no folder {args.baselines}: nothing to compare with", file=sys.stderr)
    verdicts = []
    refusal: TokgateError | None = None
    for path in args.files:
        try:
            session, verdict = judge_file(path, args.baselines, args.machine, args.scenario)
        except InputError as error:
            # The others are judged all the same; bad input decides the exit status.
            print(f"tokgate: {error}", file=sys.stderr)
            refusal = error
            continue
        verdicts.append(verdict)
        if args.json:
            print(json.dumps(to_json(verdict)))
        else:
            print_verdict(session, verdict)
    if refusal is not None:
        return refusal.exit_status
    return exit_status(verdicts, require_baseline=args.require_baseline, strict=args.strict)


def _doctor(args: argparse.Namespace) -> int:
    from tokgate.report.checks import print_checks

    return print_checks(as_json=args.json)
