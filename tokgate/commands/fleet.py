"""`tokgate fleet`: the suite once on every node of a Ray cluster, each node judged by its own machine id."""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokgate.commands import options

if TYPE_CHECKING:
    from tokgate.fleet.node import Gate, NodeReport
    from tokgate.fleet.task import Order

_INTERRUPTED = 128 + signal.SIGINT


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "fleet",
        help="run the suite once on every node of a Ray cluster, and judge each",
        description="Runs `python -m pytest` once on every alive node that has CPUs in Ray, in the node's own "
        "checkout; options that are not named here go to that pytest. Each node's sessions, one a matrix, are brought "
        "back and judged by their own machine id; nodes of one machine id are compared with each other. A node is as "
        "its worst session; one without a session to believe is INVALID. Give the command on a machine of the cluster: "
        "one that measures nothing itself joins with ray start --num-cpus=0.",
        allow_abbrev=False,
    )
    parser.add_argument("--ray", required=True, metavar="ADDRESS", help="the cluster: HOST:PORT, or auto")
    parser.add_argument("-m", required=True, metavar="MARKER", dest="marker", help="as of pytest: cpu")
    parser.add_argument(
        "--out", "--perf-sessions", type=Path, default=Path(".tokgate/sessions"), metavar="DIR",
        help="where the nodes' sessions go (default: .tokgate/sessions)",
    )  # fmt: skip
    parser.add_argument("--checkout", metavar="DIR", help="where tokgate is on the nodes (default: this folder's path)")
    parser.add_argument(
        "--python", metavar="PATH", help="the nodes' interpreter, as .venv/bin/python (default: that of their Ray)"
    )
    parser.add_argument(
        "--timeout", type=float, default=14400.0, metavar="SECONDS", help="of each node's pytest (default: 14400)"
    )
    parser.add_argument("--expect", type=int, metavar="N", help="exit 4 where fewer than N nodes could be asked")
    parser.add_argument("--perf-require-baseline", action="store_true", help="as of pytest, here and on the nodes")
    parser.add_argument("--perf-strict", action="store_true", help="as of pytest, here and on the nodes")
    parser.add_argument(
        "--json", action="store_true", help="one JSON object a session, a line each; of a node without one too"
    )
    options.add_baselines(parser, or_own=True)
    parser.set_defaults(command=run, passes_on=True)


def run(args: argparse.Namespace) -> int:
    # A terminated run ends as an interrupted one: its tasks are cancelled.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return _run(args)
    except KeyboardInterrupt:
        print(f"tokgate: interrupted, the nodes too; sessions that had come back are in {args.out}", file=sys.stderr)
        return _INTERRUPTED


def _run(args: argparse.Namespace) -> int:
    from tokgate.fleet.node import comparable, fleet_status, with_lacking
    from tokgate.fleet.peers import standings
    from tokgate.report.fleet import print_fleet, to_json_lines

    gate = _gate(args)
    reports = with_lacking(_measure(args, gate))
    found = standings(comparable(reports))
    if args.json:
        for report in reports:
            for line in to_json_lines(report, found.get(report.name, {})):
                print(json.dumps(line))
    else:
        print_fleet(reports, found)
    return fleet_status(reports, gate)


def _measure(args: argparse.Namespace, gate: Gate) -> list[NodeReport]:
    """The report on each node, by name. Raises InputError where no cluster or no node is."""
    from tokgate.errors import InputError, MeasurementError
    from tokgate.fleet.cluster import connect
    from tokgate.fleet.node import report_on

    order = _order(args)
    reports = []
    with connect(args.ray) as cluster:
        nodes, without_cpus = cluster.nodes()
        if without_cpus:
            _say(f"left out, since Ray has no CPUs there: {', '.join(without_cpus)}")
        if not nodes:
            raise InputError(f"--ray {args.ray}: no node has CPUs: ray start without --num-cpus=0 adds one that has")
        if len(nodes) < (args.expect or 0):
            raise MeasurementError(f"{len(nodes)} nodes are there ({', '.join(node.name for node in nodes)}), expected "
                                   f"{args.expect}: start Ray on the others")  # fmt: skip
        _say(f"{', '.join(node.name for node in nodes)}: pytest {shlex.join(order.arguments)}")
        with closing(cluster.run(nodes, order)) as ended:
            for one in ended:
                reports.append(report_on(one, gate))
                _say(f"{one.node.name}: {reports[-1].outcome}{_after(one.answer)}")
    return sorted(reports, key=lambda report: report.name)


def _order(args: argparse.Namespace) -> Order:
    from tokgate.fleet.task import Order

    flags = [
        f"--perf-{name}" for name in ("require-baseline", "strict") if getattr(args, f"perf_{name}".replace("-", "_"))
    ]
    passed_on = [word for word in args.passed_on if word != "--"]
    return Order(
        checkout=args.checkout or str(Path.cwd()),
        python=args.python,
        arguments=("-m", args.marker, *flags, *passed_on),
        timeout_s=args.timeout,
    )


def _gate(args: argparse.Namespace) -> Gate:
    from tokgate.fleet.node import Gate
    from tokgate.judging import judge_file
    from tokgate.outputs import check_folder
    from tokgate.provenance import git_state

    shelf = options.shelf(args)
    check_folder("--out", args.out)
    return Gate(
        judge=lambda path: judge_file(path, shelf),
        out=args.out,
        require_baseline=args.perf_require_baseline,
        strict=args.perf_strict,
        commit=git_state(Path.cwd()).get("commit"),
    )


def _after(answer: Any) -> str:
    if answer is None:
        return ""
    several = f" ({len(answer.sessions)} sessions)" if len(answer.sessions) > 1 else ""
    return f" after {answer.wall_s:.0f} s{several}"


def _say(text: str) -> None:
    print(f"tokgate: {text}", file=sys.stderr, flush=True)
