"""`tokgate stub-server`: a streaming server that knows the truth, to calibrate load clients and to test them."""

from __future__ import annotations

import argparse
from typing import Any

from tokgate.commands.options import port

_EPILOG = """\
REQUEST is a request's number, counted from 0 as they arrive, a range (3-7), or every:N for the last of each N.
/truth tells what was really done and when (?full=1: each write), POST /reset forgets it and counts from 0 again.

It has no tokenizer. Give `tokgate bench serve` one: --tokenizer DIR, the folder of any model, or --tokenizer ORG/NAME
of the hub. None is needed with --dataset-name custom --dataset-path FILE --skip-tokenizer-init. The stub counts the
words of a prompt: that bench serve notes other prompt lengths than planned is no fault.
"""


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "stub-server",
        help="a streaming server that knows the truth, to calibrate clients",
        description=__doc__,
        epilog=f"{_EPILOG}\nFaults:\n{_kinds()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=port, default=8000, help="0: a free one; the URL is the first line printed")
    parser.add_argument("--cpu", type=int, metavar="N", help="stay on this CPU")
    parser.add_argument("--served-model-name", metavar="NAME", help="others are refused; default: any is served")
    parser.add_argument("--ttft-ms", type=float, default=50.0, help="first token after this (default: %(default)s)")
    parser.add_argument("--itl-ms", type=float, default=10.0, help="each further token (default: %(default)s)")
    parser.add_argument("--ttft-jitter", metavar="SHAPE:SHARE", help="as --itl-jitter, for the first token")
    parser.add_argument("--itl-jitter", metavar="SHAPE:SHARE", help="exponential:0.3 or uniform:0.3; the mean stays")
    parser.add_argument("--seed", type=int, default=0, help="of the jitter (default: %(default)s)")
    parser.add_argument("--tokens-per-message", type=int, default=1, metavar="N")
    parser.add_argument("--max-concurrency", type=int, default=0, metavar="N", help="others wait; 0: no limit")
    parser.add_argument("--stall", action="append", default=[], metavar="REQUEST:TOKEN:SECONDS", help="may be repeated")
    parser.add_argument("--fault", action="append", default=[], metavar="REQUEST:KIND[:VALUE]", help="may be repeated")
    parser.add_argument("--split", type=int, default=0, metavar="BYTES", help="write messages in pieces of this size")
    parser.add_argument("--merge", type=int, default=1, metavar="N", help="write N messages at once, with the last")
    parser.add_argument("--token-text", default=" tok", metavar="TEXT", help="of every token (default: %(default)r)")
    parser.add_argument(
        "--until-stdin-closes", action="store_true", help="end with the parent that holds the other end"
    )
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    from tokgate.errors import InputError
    from tokgate.stub.faults import parse_faults
    from tokgate.stub.schedule import Pace, parse_jitter, parse_stall
    from tokgate.stub.server import serve
    from tokgate.stub.settings import Settings

    for name, least in _LEAST.items():
        if not getattr(args, name) >= least:
            raise InputError(f"--{name.replace('_', '-')} {getattr(args, name):g}: it must be at least {least}")
    pace = Pace(
        ttft_s=args.ttft_ms / 1e3,
        itl_s=args.itl_ms / 1e3,
        tokens_per_message=args.tokens_per_message,
        ttft_jitter=parse_jitter(args.ttft_jitter) if args.ttft_jitter else None,
        itl_jitter=parse_jitter(args.itl_jitter) if args.itl_jitter else None,
        stalls=tuple(map(parse_stall, args.stall)),
        seed=args.seed,
    )
    settings = Settings(
        pace,
        parse_faults(args.fault),
        served_model_name=args.served_model_name,
        max_running=args.max_concurrency,
        split_bytes=args.split,
        merge=args.merge,
        word=args.token_text,
    )
    serve(settings, args.host, args.port, args.cpu, args.until_stdin_closes)
    return 0


_LEAST = {"ttft_ms": 0, "itl_ms": 0, "tokens_per_message": 1, "max_concurrency": 0, "split": 0, "merge": 1}


def _kinds() -> str:
    from tokgate.stub import faults

    rows = {"/".join(faults.STATUSES): "an error of that status; VALUE of 429 and 503: the seconds of Retry-After"}
    rows |= faults.INSTEAD
    rows |= {f"{kind}[:VALUE]": what for kind, what in faults.MID_STREAM.items()}
    rows |= faults.THROUGHOUT
    lines = (f"  {kind:<27} {what}" for kind, what in rows.items())
    return "\n".join(lines).replace("%", "%%") + "\nVALUE in mid-stream: after so many tokens; half where not given."
