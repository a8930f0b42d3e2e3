"""`tokgate judge`: judge stored sessions against the baselines, without measuring."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from tokgate.commands import options
from tokgate.errors import InputError, TokgateError


def add(commands: Any) -> None:
    parser = commands.add_parser("judge", help="judge stored sessions against the baselines, without measuring")
    parser.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="session or pytest-benchmark files, or what vllm bench serve --save-result wrote",
    )
    parser.add_argument("--machine", metavar="ID", help="judge as this machine; required for vllm bench serve")
    parser.add_argument(
        "--scenario", metavar="ID", help="only this scenario; for vllm bench serve the row to hold it against"
    )
    parser.add_argument(
        "--require-baseline",
        action="store_true",
        help="exit 3 where there is nothing to compare with, or an accepted scenario was not measured",
    )
    parser.add_argument("--strict", action="store_true", help="exit 4 where a row is inconclusive")
    parser.add_argument("--json", action="store_true", help="one JSON object a session, a line each")
    options.add_baselines(parser, or_own=True)
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    from tokgate.gate.verdict import exit_status, to_json
    from tokgate.judging import judge_files
    from tokgate.report.scorecard import print_score_cards
    from tokgate.report.terminal import print_verdict
    from tokgate.report.words import count, regressions, reservations, without_limits

    shelf = options.shelf(args)
    verdicts = []
    refusal: TokgateError | None = None
    for judged in judge_files(args.files, shelf, args.machine, args.scenario):
        if isinstance(judged, InputError):
            # The others are judged all the same; bad input decides the exit status.
            print(f"tokgate: {judged}", file=sys.stderr)
            refusal = judged
            continue
        verdicts.append(judged.verdict)
        if args.require_baseline and (missing := judged.verdict.missing):
            lacking = f"{judged.session.id} lacks {count(len(missing), 'accepted scenario')}: {', '.join(missing)}"
            print(f"tokgate: --require-baseline: {lacking}", file=sys.stderr)
        if args.json:
            print(json.dumps(to_json(judged.verdict)))
            continue
        print_verdict(judged.session, judged.verdict, carded=True)
        rows = without_limits(judged.verdict)
        told = [*regressions(judged.session, rows, judged.baselines), *reservations(rows)]
        print("\n".join(told), end="\n" if told else "")
        print_score_cards(judged.verdict)
    if refusal is not None:
        return refusal.exit_status
    return exit_status(verdicts, require_baseline=args.require_baseline, strict=args.strict)
