"""`tokgate bench serve`: load a running server as `vllm bench serve` does, and say what it did."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokgate.commands import bench_flags

if TYPE_CHECKING:
    from tokgate.serving.load import LoadResult
    from tokgate.serving.measures import Measures
    from tokgate.serving.request import Request, Target
    from tokgate.serving.setting import Setting

_INVALID = 4
_INTERRUPTED = 128 + signal.SIGINT


def add(commands: Any) -> None:
    parser = commands.add_parser("bench", help="load a server that is running, and measure it")
    kinds = parser.add_subparsers(required=True, metavar="KIND", parser_class=bench_flags.DashParser)
    serve = kinds.add_parser("serve", help="the flags, the table and the file of vllm bench serve")
    bench_flags.add(serve)
    serve.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    # transformers brings torch along, which takes seconds and counts no tokens. This process does nothing else.
    os.environ.setdefault("USE_TORCH", "0")
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    try:
        return _serve(args)
    except KeyboardInterrupt:
        print("tokgate: interrupted; nothing was saved", file=sys.stderr)
        return _INTERRUPTED


def _serve(args: argparse.Namespace) -> int:
    from tokgate.commands import bench_asked
    from tokgate.outputs import check_file
    from tokgate.report import bench as report
    from tokgate.serving import result_file
    from tokgate.serving.measures import measure
    from tokgate.serving.speculation import SpeculationWatch

    target = bench_asked.endpoint(args, os.environ.get("OPENAI_API_KEY"))
    setting, goodput_ms = bench_asked.setting(args), bench_asked.goodput_ms(args.goodput)
    if saves := args.save_result or args.append_result:
        # Of a name that is made only the folder is known yet.
        option = "--result-filename" if args.result_filename else "--result-dir"
        check_file(option, _result_path(args, setting, datetime.now()), appended=args.append_result)
    elif args.save_detailed:
        print("note: --save-detailed is of a result that is saved; add --save-result", file=sys.stderr)
    setting, sent = _prepared(args, target, setting)
    counters = SpeculationWatch(target.beside("/metrics"))
    result = _driven(args, target, setting, sent, counters.start)
    ended = datetime.now()
    speculation = counters.stop()

    measures = measure(result, sent, goodput_ms)
    fault = _client_fault(result)
    path, unsaved = None, None
    if saves:
        # Before anything is printed, to a reader who may have left.
        path = _result_path(args, setting, ended)
        data = result_file.to_json(setting, measures, result, sent, ended, fault, args.save_detailed, speculation)
        try:
            result_file.write(data, path, append=args.append_result)
        except OSError as error:
            unsaved = error
    try:
        print("\n".join(report.table(setting, measures, result.health, fault, speculation)))
        for note in report.notes(sent, result, counted=args.backend != "openai-chat"):
            print(f"note: {note}", file=sys.stderr)
    finally:
        if unsaved is not None:
            # Told as well where the table's reader has left.
            raise unsaved
    if path is not None:
        print(f"saved: {path}", file=sys.stderr)
    return _status(measures, fault)


def _result_path(args: argparse.Namespace, setting: Setting, when: datetime) -> Path:
    from tokgate.serving.result_file import file_name

    return Path(args.result_dir or ".") / (args.result_filename or file_name(setting, when))


def _client_fault(result: LoadResult) -> str | None:
    """With what else this command can do about it, where the client's own work is what made it late."""
    fault, health = result.client_fault(), result.health
    if fault is None or not health.is_known:
        return fault
    if health.is_busy:
        return f"{fault}, or more client processes (--processes {health.processes + 1})"
    return f"{fault}; it used {health.cpu_share:.1%} of one itself, so something else held the cores it runs on"


def _status(measures: Measures, fault: str | None) -> int:
    if measures.failed:
        print(f"tokgate: {measures.failed} of {measures.requests} requests failed: no valid result", file=sys.stderr)
    if fault is not None:
        print(f"tokgate: no valid result: {fault}", file=sys.stderr)
    return _INVALID if measures.failed or fault is not None else 0


def _prepared(args: argparse.Namespace, target: Target, setting: Setting) -> tuple[Setting, list[Request]]:
    """The setting with its model, and the requests, encoded."""
    from tokgate.commands import bench_asked
    from tokgate.serving import endpoint
    from tokgate.serving.bodies import requests
    from tokgate.serving.datasets import tokenizer

    endpoint.connect(target, args.ready_check_timeout_sec)
    model = endpoint.first_model(target) if args.model is None else endpoint.Model(args.model, args.model)
    if args.model is None:
        print(f"model: {model.name}, the first that the server lists", file=sys.stderr)
    name = None if args.skip_tokenizer_init else args.tokenizer or model.root
    samples = bench_asked.samples(args, tokenizer.load(name, args.trust_remote_code) if name else None)
    for note in bench_asked.sample_notes(args, samples):
        print(f"note: {note}", file=sys.stderr)
    sent = requests(samples, args.backend, bench_asked.wishes(args, model.name))
    return replace(setting, model=model.root, tokenizer=name), sent


def _driven(
    args: argparse.Namespace,
    target: Target,
    setting: Setting,
    sent: Sequence[Request],
    on_begin: Callable[[], None],
) -> LoadResult:
    from tokgate.commands.bench_asked import starts_s
    from tokgate.report.bench import open_progress
    from tokgate.serving.client import run_load
    from tokgate.serving.endpoint import wait_ready
    from tokgate.serving.load import Load

    if args.ready_check_timeout_sec:
        wait_ready(target, sent[0], args.ready_check_timeout_sec, run_load)
    load = Load(
        target=target,
        requests=sent,
        max_concurrency=setting.max_concurrency,
        starts_s=starts_s(setting, len(sent), args.seed),
        warmups=args.num_warmups,
        timeout_s=args.request_timeout_sec,
        processes=args.processes,
        keep_text=args.save_detailed,
    )
    with open_progress(quiet=args.disable_tqdm) as progress:
        return run_load(load, progress, on_begin)
