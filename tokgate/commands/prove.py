"""`tokgate prove`: what the gate does on nights whose truth is known, beside what others would say of them."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokgate.commands.options import add_cache, add_lock_timeout

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokgate.prove.situations import Situation

_QUICK_NIGHTS = 100
_FULL_NIGHTS = 800
_SEED = 20261121
_INTERRUPTED = 128 + 2


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "prove",
        help="false alarms and slowdowns caught, on nights whose truth is known",
        description="Judges simulated nights, or nights drawn from recorded launches, and prints how often tokgate "
        "and its rivals raise an alarm. Exits 1 when a claim of the gate is broken.",
    )
    parser.add_argument("--quick", action="store_true", help="the gate's own figures alone: seconds, not minutes")
    parser.add_argument(
        "--nights", type=_positive, metavar="N", help=f"a line; default {_FULL_NIGHTS:,}, with --quick {_QUICK_NIGHTS}"
    )
    parser.add_argument("--seed", type=int, default=_SEED, help="default: a fixed one, for the same figures every time")
    parser.add_argument("--jobs", type=_positive, metavar="J", help="processes; default one a usable core")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--recording", type=Path, metavar="FILE", help="replay the launches recorded there")
    recording = parser.add_argument_group(
        "recording", "Measures real launches, plain and with more tokens to make, and adds them to --recording."
    )
    recording.add_argument("--record", action="store_true", help="measure; default file .tokgate/prove/MACHINE.json")
    recording.add_argument("--model", default="auto", help="as pytest's --perf-model; default auto")
    recording.add_argument(
        "--group", default="onnx.int8", help="of scenarios/cpu.toml, its quick rows; default onnx.int8"
    )
    recording.add_argument(
        "--launches", type=_positive, default=48, metavar="N", help="plain launches in all; a quarter as many of each "
        "slowdown; default 48",
    )  # fmt: skip
    recording.add_argument("--rounds", type=_positive, default=3, metavar="R", help="a launch; default 3")
    add_cache(recording)
    add_lock_timeout(recording)
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    try:
        if args.record:
            return _record(args)
        return _replay(args) if args.recording else _simulate(args)
    except KeyboardInterrupt:
        kept = "; the launches that had ended are kept, the same command goes on" if args.record else ""
        print(f"tokgate: interrupted{kept}", file=sys.stderr)
        return _INTERRUPTED


def _simulate(args: argparse.Namespace) -> int:
    from tokgate.prove import situations

    return _prove(args, situations.quick() if args.quick else situations.full())


def _record(args: argparse.Namespace) -> int:
    from tokgate.models.cache import default_cache_root
    from tokgate.prove.record import Wanted, record

    wanted = Wanted(
        model=args.model,
        group=args.group,
        plain=args.launches,
        rounds=args.rounds,
        cache_root=args.cache or default_cache_root(),
        lock_timeout_s=args.lock_timeout,
    )
    path = record(wanted, args.recording, lambda text: print(f"tokgate: {text}", file=sys.stderr, flush=True))
    print(f"recorded in {path}; see it with: tokgate prove --recording {path}")
    return 0


def _replay(args: argparse.Namespace) -> int:
    from tokgate.prove import replay, table
    from tokgate.prove.recording import read

    recording = read(args.recording)
    lines = replay.situations_of(recording)
    detectable, injections = replay.detectable(recording, args.seed), replay.injections(recording)
    if not args.json:
        console = table.console()
        table.print_detectable(detectable, console)
        table.print_injections(injections, console)
    data = {"detectable": [asdict(one) for one in detectable], "injections": [asdict(one) for one in injections]}
    return _prove(args, lines, data)


def _prove(args: argparse.Namespace, lines: Sequence[Situation], beside: dict[str, Any] | None = None) -> int:
    """`beside`: what --json says besides the rates."""
    from tokgate.machine.cpus import usable_cores
    from tokgate.prove import table
    from tokgate.prove.claims import findings
    from tokgate.prove.simulation import nights_of, simulate

    nights = args.nights or (_QUICK_NIGHTS if args.quick else _FULL_NIGHTS)
    total = sum(nights_of(line, nights) for line in lines)
    with _progress(total) as advance:
        results = simulate(lines, nights, args.seed, args.jobs or usable_cores(), advance)
    found = findings({result.situation.id: result.rates for result in results})
    broken = [finding for finding in found if finding.broken]
    if args.json:
        print(json.dumps({**table.to_json(results, found, args.seed), **(beside or {})}))
        return 1 if broken else 0
    console = table.console()
    table.print_results(results, console)
    if found:
        console.print()
        table.print_findings(found, console)
    return 1 if broken else 0


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A bar on standard error while it is a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    screen = Console(stderr=True)
    with Progress(console=screen, transient=True, disable=not screen.is_terminal) as progress:
        task = progress.add_task("nights", total=total)
        yield lambda count: progress.advance(task, count)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value}; expected 1 or more")
    return value
