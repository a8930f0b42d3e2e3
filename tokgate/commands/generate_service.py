"""`tokgate generate-service`: POST /generate over ONNX Runtime, transformers or vLLM."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from tokgate.commands.options import port

_EPILOG = """\
POST /generate takes {"prompt": TEXT, "parameters": {"temperature": 0.5, "max_steps": 100}} and answers
{"response": TEXT, ...}. GET /health is 200 once the model is loaded; /metrics is Prometheus'; /info says what is there.
A request beyond the queue gets 503 with Retry-After, one beyond the limits 422 (413 for its length in bytes).
"""
_PRECISIONS = {"onnx": "fp32", "transformers": "fp32", "vllm": "fp16"}


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "generate-service",
        help="serve POST /generate over ONNX Runtime, transformers or vLLM",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--engine", choices=sorted(_PRECISIONS), default="onnx", help="default: onnx")
    parser.add_argument("--precision", help="fp32 or int8 for onnx; default: fp32, for vllm fp16")
    parser.add_argument("--model", default="auto", metavar="MODEL", help="as pytest's --perf-model (default: auto)")
    parser.add_argument("--shape", default="qwen2.5-0.5b-instruct", metavar="NAME", help="what auto and dummy mean")
    parser.add_argument("--device", choices=("cpu", "gpu"), help="default: gpu for vllm, else cpu")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=port, default=8000, help="0: a free one; its URL is printed once it is ready")
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="generate up to N at once (default: 1)")
    parser.add_argument("--window-ms", type=float, default=20.0, metavar="MS", help="wait so long for others to join")
    parser.add_argument("--queue", type=int, default=64, metavar="N", help="so many may wait (default: 64)")
    parser.add_argument("--max-prompt-tokens", type=int, metavar="N", help="default: what the context holds")
    parser.add_argument("--max-steps", type=int, default=1024, metavar="N", help="output tokens (default: 1024)")
    parser.add_argument("--max-body-bytes", type=int, default=1 << 20, metavar="N", help="default: 1 MiB")
    parser.add_argument("--threads", type=int, metavar="N", help="of the engine (default: every usable core)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting of the engine, named and written as in a matrix or a sweep (enforce_eager=true); any number",
    )
    parser.add_argument("--grace", type=float, default=30.0, metavar="SECONDS", help="how long to end (default: 30)")
    parser.add_argument("--python", default=sys.executable, help="the interpreter that holds the engine")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="where models are built (default: the user's cache)")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    """Builds what is missing, then becomes the service: signals and status are its own."""
    from tokgate.child import python_path

    settings = _settings(args)
    argv = [args.python, "-m", "tokgate.generate.server", settings.to_json()]
    sys.stdout.flush()
    os.execvpe(argv[0], argv, {**os.environ, "PYTHONPATH": python_path()})


def _settings(args: argparse.Namespace) -> Any:
    from tokgate.engine_modules import missing_engine
    from tokgate.engine_settings import engine_settings
    from tokgate.environment import check_interpreter
    from tokgate.errors import InputError
    from tokgate.generate.settings import Limits, ServiceSettings, batch_fault
    from tokgate.given import context_len, given_settings
    from tokgate.listening import listening
    from tokgate.machine.cpumodel import isa
    from tokgate.machine.cpus import usable_cores
    from tokgate.models.artifacts import ensure
    from tokgate.models.cache import default_cache_root
    from tokgate.models.source import resolve
    from tokgate.plan import Device
    from tokgate.scenario import Group

    for name, least in _LEAST.items():
        value = getattr(args, name)
        if value is not None and not value >= least:
            raise InputError(f"--{name.replace('_', '-')} {value:g}: it must be at least {least}")
    precision = args.precision or _PRECISIONS[args.engine]
    fault = batch_fault(args.engine, precision, args.batch)
    if fault:
        raise InputError(f"--batch: {fault}")
    check_interpreter("the interpreter that serves,", args.python)
    given = given_settings(args.set, "--set")
    source = resolve(args.model, args.shape, allow_network=True)
    device: Device = args.device or ("gpu" if args.engine == "vllm" else "cpu")
    group = Group(args.shape, source.model_id, args.engine, precision, settings=given, device=device)
    settings = engine_settings(group, source)
    # What would else be found when the model is built, minutes from now.
    if missing := missing_engine(args.engine, device, args.python, "--python"):
        raise InputError(missing)
    listening(args.host, args.port).close()
    cache = args.cache or default_cache_root()

    def built(engine: str, precision: str) -> str:
        return str(ensure(source, engine, precision, cache, sys.executable, isa(), _say).path)

    model_dir = built(args.engine, precision)
    context = context_len(settings, source.max_context)
    room = context - 1
    return ServiceSettings(
        engine=args.engine,
        model_dir=model_dir,
        # A graph's folder holds no tokenizer; the checkpoint that it was made of does.
        tokenizer_dir=built("transformers", "fp32"),
        limits=Limits(context, min(args.max_prompt_tokens or room, room), args.max_steps, args.max_body_bytes),
        model=source.model_id,
        precision=precision,
        settings=settings,
        threads=args.threads or usable_cores(),
        host=args.host,
        port=args.port,
        batch=args.batch,
        window_s=args.window_ms / 1e3,
        queue=args.queue,
        grace_s=args.grace,
    )


_LEAST = {
    "batch": 1, "window_ms": 0, "queue": 1, "max_prompt_tokens": 1, "max_steps": 1, "max_body_bytes": 1,
    "threads": 1, "grace": 0,
}  # fmt: skip


def _say(text: str) -> None:
    print(f"tokgate: {text}", file=sys.stderr)
