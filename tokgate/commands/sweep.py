"""`tokgate sweep`: measure a grid of settings in turns, and rank them."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokgate.commands.options import add_cache, add_lock_timeout
from tokgate.errors import InputError, NoDeviceError

if TYPE_CHECKING:
    from tokgate.launcher import Progress
    from tokgate.sweep.opening import Bench
    from tokgate.sweep.store import Store

_INTERRUPTED = 128 + signal.SIGINT


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "sweep",
        help="measure a grid of settings in turns, and rank them",
        description="What ends is kept in --folder, so the same command goes on after a kill. Exit status: 0 there is "
        "a best setting, 1 all break a constraint, 2 bad input, 4 nothing can be believed.",
    )
    parser.add_argument("file", metavar="FILE", help="a path, or a file of scenarios/sweeps/ (cpu-onnx.toml)")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write an HTML page too, as sweep.html")
    parser.add_argument("--dry-run", action="store_true", help="say what would be measured and for how long, no more")
    parser.add_argument("--fresh", action="store_true", help="begin anew; what was measured is set aside")
    parser.add_argument("--retry", action="store_true", help="measure again what failed or could not be believed")
    parser.add_argument("--model", default="auto", metavar="MODEL", help="as pytest's --perf-model (default: auto)")
    parser.add_argument(
        "--python", default=sys.executable, metavar="PYTHON", help="the interpreter that measures (default: this one)"
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path(".tokgate/sweeps"),
        metavar="DIR",
        help="where sweeps are kept, each in a folder of its file's name (default: .tokgate/sweeps)",
    )
    add_cache(parser)
    add_lock_timeout(parser)
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    from tokgate.outputs import check_file
    from tokgate.report.progress import open_progress
    from tokgate.sweep.candidates import open_candidates
    from tokgate.sweep.dryrun import print_plan
    from tokgate.sweep.file import read_sweep
    from tokgate.sweep.opening import open_bench
    from tokgate.sweep.store import Store

    # A terminated sweep ends as an interrupted one: its workers die and its finished launches are kept.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sweep = read_sweep(_path(args.file))
    if args.output is not None:
        check_file("-o", args.output)
    opened = open_candidates(sweep, args.model)
    store = Store(args.folder / sweep.name)
    progress = open_progress(None, 0)
    try:
        bench = open_bench(sweep, opened, args.python, sys.executable, args.cache, store.logs_dir, progress)
    except NoDeviceError as error:
        if not args.dry_run:
            raise
        print_plan(sweep, opened, {}, [])
        print(f"not on this machine: {error}")
        return 0
    if args.dry_run:
        return _dry_run(bench, store, fresh=args.fresh)
    try:
        _measure(args, bench, store, progress)
    except KeyboardInterrupt:
        print(f"\ntokgate: interrupted; what had ended is in {store.folder}: the same command goes on", file=sys.stderr)
        return _INTERRUPTED
    return _show(args, bench, store)


def _path(file: str) -> Path:
    from tokgate.matrices import SCENARIOS_DIR

    path = Path(file)
    if path.exists():
        return path
    folder = SCENARIOS_DIR / "sweeps"
    known = folder / file
    if known.suffix == ".toml" and known.exists():
        return known
    names = ", ".join(sorted(each.name for each in folder.glob("*.toml")))
    raise InputError(f"{file}: no such file; expected a path, or one of scenarios/sweeps/: {names}")


def _measure(args: argparse.Namespace, bench: Bench, store: Store, progress: Progress) -> None:
    from tokgate.machine.lock import device_locks
    from tokgate.outputs import check_folder
    from tokgate.rootcause import in_a_line
    from tokgate.sweep.campaign import Campaign
    from tokgate.sweep.opening import identity

    check_folder("--folder", store.folder)
    # What another sweep of the same name measures meanwhile is read when it is done.
    with device_locks(bench.device.claims, args.lock_timeout, progress.say):
        if args.fresh and (aside := store.set_aside()):
            progress.say(f"what was measured before is in {aside}")
        store.open(identity(bench))
        campaign = Campaign(bench, store, progress)
        if args.retry:
            progress.say(f"{campaign.retry()} launches are made again")
        if campaign.to_make:
            progress.say(f"{bench.opened.source.model_id}: {bench.opened.source.note}")
            if campaign.made:
                progress.say(f"{len(campaign.made)} launches are in {store.folder}, {campaign.to_make} are left")
            bench.build()
            for why in dict.fromkeys(bench.unbuilt.values()):
                progress.say(f"a model could not be built, its settings are FAILED: {in_a_line(why)}")
            campaign.run()
            print(file=sys.stderr)


def _dry_run(bench: Bench, store: Store, fresh: bool) -> int:
    from tokgate.sweep.dryrun import print_plan
    from tokgate.sweep.opening import identity

    if store.exists and not fresh:
        store.open(identity(bench))
    print_plan(bench.sweep, bench.opened, bench.refused, [] if fresh else store.launches())
    return 0


def _show(args: argparse.Namespace, bench: Bench, store: Store) -> int:
    from tokgate.report.html.publish import publish
    from tokgate.sweep.outcome import outcome
    from tokgate.sweep.page import sweep_page
    from tokgate.sweep.table import print_outcome
    from tokgate.sweep.winner import write_winner

    found = outcome(bench.sweep, bench.opened, store.launches(), bench.refused, bench.unbuilt)
    best = found.ranking.best
    winner = None
    if best is not None:
        winner = write_winner(bench.sweep, bench.opened, best.measured.candidate, store.winner_dir)
    print_outcome(found, bench.opened, bench.device.machine["id"], winner)
    if args.output is not None:
        print(publish(sweep_page(found, bench, winner, str(store.folder)), args.output))
    return found.exit_status
