"""`tokgate report`: what stands in stored sessions, in the terminal or as an HTML page."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from tokgate.commands import options
from tokgate.errors import InputError

_ANY_MACHINE = ""
_FILES = "session or pytest-benchmark files; with -o also what vllm bench serve --save-result wrote"


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "report",
        help="stored sessions in the terminal, or as a page: verdicts, charts, comparison, trends",
        description="Without -o: roofline, energy, memory and KV cache, row by row. With -o: one HTML file, judged "
        "against the baselines. It is no gate: its exit status tells bad input only.",
    )
    parser.add_argument("sessions", nargs="*", type=Path, metavar="SESSION", help=_FILES)
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write an HTML page, as report.html")
    page = parser.add_mutually_exclusive_group()
    page.add_argument(
        "--compare",
        nargs=2,
        type=Path,
        metavar=("A", "B"),
        help="inference time and tok/s of two sessions side by side, as of a CPU and a GPU",
    )
    page.add_argument(
        "--trends",
        nargs="?",
        const=_ANY_MACHINE,
        metavar="MACHINE",
        help="all accepted and saved sessions of a machine over time; MACHINE may be left out where there is one only, "
        "or the saved sessions are of one",
    )
    page.add_argument(
        "--ladder",
        action="store_true",
        help="the optimisation ladder of scenarios/ladders/: each step's effect by these sessions of one machine",
    )
    page.add_argument(
        "--scaling",
        action="store_true",
        help="speed-up and efficiency of tensor parallel 2 and 4, by sessions of hosts with one and with several GPUs",
    )
    parser.add_argument(
        "--sessions",
        dest="folder",
        type=Path,
        default=Path(".tokgate/sessions"),
        metavar="DIR",
        help="the saved sessions of --trends (default: .tokgate/sessions)",
    )
    parser.add_argument("--machine", metavar="ID", help="with -o: judge as this machine; required for vllm bench serve")
    options.add_baselines(parser, or_own=True)
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    from tokgate.outputs import check_file

    other = args.compare is not None or args.trends is not None
    if other and args.sessions:
        raise InputError(
            "--compare and --trends take no further SESSION; for --trends name their folder: --sessions DIR"
        )
    if not other and not args.sessions:
        others = "" if args.ladder or args.scaling else ", or --compare, or --trends"
        raise InputError(f"no session to report; name the files, as .tokgate/sessions/*.json{others}")
    if args.machine and (args.output is None or args.ladder or args.scaling or args.trends is not None):
        raise InputError(
            "--machine is of what is judged, a page of sessions or of --compare: add -o report.html; tokgate judge "
            "FILE --machine ID prints the verdict; --trends takes its machine itself, --trends MACHINE"
        )
    if args.scaling and args.output is not None:
        raise InputError("--scaling prints a table and makes no page: leave out -o")
    if args.output is not None:
        check_file("-o", args.output)
    if args.ladder:
        return _ladder(args.sessions, args.output)
    if args.scaling:
        return _scaling(args.sessions)
    if args.output is not None:
        return _pages(args)
    if other:
        raise InputError("--compare and --trends make a page: say where, as -o report.html")
    return _terminal(args.sessions)


def _pages(args: argparse.Namespace) -> int:
    from tokgate.judging import judge_files
    from tokgate.report.html.publish import (
        facts_of,
        judged_facts,
        publish_comparison,
        publish_report,
        publish_trends,
    )

    # Neither a comparison nor trends judge anything, so both can do without.
    shelf = options.shelf(args, or_empty=args.compare is not None or args.trends is not None)
    refusal: InputError | None = None
    if args.compare is not None:
        first, second = (judged_facts(path, shelf, args.machine) for path in args.compare)
        publish_comparison(first, second, args.output)
    elif args.trends is not None:
        publish_trends(args.trends or None, args.folder, shelf, args.output)
    else:
        found = []
        for judged in judge_files(args.sessions, shelf, args.machine):
            if isinstance(judged, InputError):
                # The others are shown all the same.
                print(f"tokgate: {judged}", file=sys.stderr)
                refusal = judged
            else:
                found.append(facts_of(judged))
        if found:
            publish_report(found, args.output)
        elif refusal is not None:
            return refusal.exit_status
    print(args.output)
    return 0 if refusal is None else refusal.exit_status


def _ladder(paths: list[Path], output: Path | None) -> int:
    """A ladder that lacks a file would tell another story: one that cannot be read ends it."""
    from tokgate import session
    from tokgate.report.ladder import climb
    from tokgate.report.ladder_file import load_ladder

    files = [(each, path.name) for path in paths for each in session.read_all(path)]
    found = [each for each, _ in files]
    climbed = climb(load_ladder(found[0].machine_kind), found)
    if output is None:
        from tokgate.report.ladder_table import print_ladder

        print_ladder(climbed)
        return 0
    from tokgate.report.html.publish import publish_ladder

    print(publish_ladder(climbed, {each.id: name for each, name in files}, output))
    return 0


def _scaling(paths: list[Path]) -> int:
    """Like a ladder: one file that cannot be read ends it."""
    from tokgate import session
    from tokgate.report.scaling import scalings
    from tokgate.report.scaling_table import print_scalings

    print_scalings(scalings([each for path in paths for each in session.read_all(path)]))
    return 0


def _terminal(paths: list[Path]) -> int:
    from tokgate import session
    from tokgate.report.details_table import print_details

    refusal: InputError | None = None
    for path in paths:
        try:
            found = session.read_all(path)
        except InputError as error:
            # The others are shown all the same.
            print(f"tokgate: {error}", file=sys.stderr)
            refusal = error
            continue
        for each in found:
            print_details(each)
    return 0 if refusal is None else refusal.exit_status
