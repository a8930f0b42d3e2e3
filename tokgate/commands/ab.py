"""`tokgate ab`: measure two environments against each other, in interleaved pairs."""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokgate.commands.options import add_cache, add_lock_timeout
from tokgate.errors import InputError
from tokgate.options import AB_NAMES, DEFAULT_PAIRS, LEAST_PAIRS, Options

if TYPE_CHECKING:
    from tokgate.gate.verdict import SessionVerdict
    from tokgate.run import DeviceRun
    from tokgate.scenario import Scenario
    from tokgate.session import Session

_INTERRUPTED = 128 + signal.SIGINT


def add(commands: Any) -> None:
    parser = commands.add_parser("ab", help="measure two environments against each other, in interleaved pairs")
    parser.add_argument("--reference", required=True, metavar="PYTHON", help="the interpreter that is held to be right")
    parser.add_argument(
        "--candidate", default=sys.executable, metavar="PYTHON", help="the one that is judged (default: this one)"
    )
    parser.add_argument("--matrix", default="cpu.toml", metavar="FILE", help="of scenarios/ (default: cpu.toml)")
    parser.add_argument("--profile", default="quick", metavar="NAME", help="which rows, and rounds (default: quick)")
    parser.add_argument("--select", metavar="NAME", help="only the rows of a selection, such as ens")
    parser.add_argument("--model", default="auto", metavar="MODEL", help="as pytest's --perf-model (default: auto)")
    parser.add_argument("-k", default="", metavar="TEXT", dest="text", help="only rows whose [id] holds this text")
    parser.add_argument(
        "--pairs",
        type=int,
        default=DEFAULT_PAIRS,
        metavar="N",
        help=f"at least {LEAST_PAIRS} (default: {DEFAULT_PAIRS})",
    )
    # Not where a test run keeps its sessions: what is only being tried is not accepted by a glob.
    parser.add_argument(
        "--sessions", type=Path, default=Path(".tokgate/ab"), metavar="DIR", help="default: .tokgate/ab"
    )
    add_cache(parser)
    add_lock_timeout(parser)
    parser.add_argument("--strict", action="store_true", help="exit 4 where a row is inconclusive")
    parser.add_argument("--json", action="store_true", help="the verdicts as one JSON object, as tokgate judge --json")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    from tokgate.gate.verdict import exit_status, to_json

    # A terminated run ends as an interrupted one: its workers die and its finished launches are kept.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        device, rows = _opened(args)
        with closing(device):
            _measure(device, rows)
    except KeyboardInterrupt:
        print(f"tokgate: interrupted; what had ended is in {args.sessions}, as an invalid session", file=sys.stderr)
        return _INTERRUPTED
    session, verdict = device.session(), _without_store(device.shown_verdict())
    if args.json:
        print(json.dumps(to_json(verdict)))
        for reason in verdict.reasons:
            print(f"tokgate: {reason}", file=sys.stderr)
    else:
        _print(device, rows, session, verdict)
    return exit_status([verdict], strict=args.strict)


def _opened(args: argparse.Namespace) -> tuple[DeviceRun, list[Scenario]]:
    """The device run that the arguments ask for, and its rows. Raises InputError."""
    from tokgate.matrices import open_matrix
    from tokgate.models.source import ModelSource
    from tokgate.opening import open_run
    from tokgate.report.progress import open_progress

    sources: dict[str, ModelSource] = {}
    matrix = open_matrix(args.matrix, args.model, sources)
    rows = [row for row in matrix.rows(args.profile, args.select) if args.text in f"[{row.id}]"]
    if not rows:
        raise InputError(f"-k {args.text!r}: no row of {args.matrix}, profile {args.profile}, has that in its [id]")
    device = open_run(matrix, _options(args), sources, open_progress(None, 0))
    device.select(rows)
    return device, rows


def _measure(device: DeviceRun, rows: list[Scenario]) -> None:
    try:
        for row in rows:
            device.result(row)
    finally:
        print(file=sys.stderr)
        if device.measured:
            device.save()


def _options(args: argparse.Namespace) -> Options:
    again = ("tokgate", "ab", *_repeated(args))
    return Options(
        command=shlex.join([*again, *(["-k", args.text] if args.text else [])]),
        again=again,
        profile=args.profile,
        selection=args.select,
        baselines_dir=None,
        sessions_dir=args.sessions,
        cache_dir=args.cache,
        lock_timeout_s=args.lock_timeout,
        builder=sys.executable,
        python=args.candidate,
        reference=args.reference,
        pairs=args.pairs,
        names=AB_NAMES,
    )


def _repeated(args: argparse.Namespace) -> list[str]:
    """The options that decide what is measured and where it is kept, where they are not what goes unsaid."""
    given = {
        "--reference": args.reference,
        "--candidate": args.candidate if args.candidate != sys.executable else None,
        "--matrix": args.matrix if args.matrix != "cpu.toml" else None,
        "--profile": args.profile if args.profile != "quick" else None,
        "--model": args.model if args.model != "auto" else None,
        "--pairs": args.pairs if args.pairs != DEFAULT_PAIRS else None,
        "--cache": args.cache,
    }
    return [f"{name}={value}" for name, value in given.items() if value]


def _without_store(verdict: SessionVerdict) -> SessionVerdict:
    """Without the rows that want accepted outputs: here the reference's are what they are held against."""
    from tokgate.gate.verdict import OUTPUT_METRICS, Verdict, outcome_of

    def wants_store(metric: str, judged: Verdict) -> bool:
        return metric in OUTPUT_METRICS and judged is Verdict.NO_BASELINE

    rows = tuple(row for row in verdict.rows if not wants_store(row.metric, row.verdict))
    return replace(verdict, rows=rows, outcome=outcome_of(not verdict.reasons, rows, verdict.suite, verdict.limits))


def _print(device: DeviceRun, rows: list[Scenario], session: Session, verdict: SessionVerdict) -> None:
    """The table, then why of each row that did not pass and how to measure it again."""
    from tokgate.gate.verdict import Verdict
    from tokgate.report.terminal import closing_words, print_verdict
    from tokgate.report.words import words_of

    print_verdict(session, verdict, device.skipped())
    for scenario in rows:
        judged = [row for row in verdict.of_scenario(scenario.id) if row.gated and row.verdict is not Verdict.PASS]
        # The rows of an invalid scenario all say the same.
        for row in {row.why: row for row in reversed(judged)}.values():
            print(words_of(row))
        if judged:
            print(f"  again: {device.command_for(scenario)}")
    if verdict.suite.verdict not in (None, Verdict.PASS):
        print(f"{verdict.suite.verdict} all rows: {'; '.join(verdict.suite.why)}")
    for line in closing_words(session, device.session_path):
        print(line)
