"""The flags of `tokgate bench serve`: those of `vllm bench serve`, spelled and meant as there, and a few of our own."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from tokgate.commands.options import CommandParser

DATASETS = ("random", "sharegpt", "custom", "prefix_repetition")
SAMPLING = {
    "top-p": float, "top-k": int, "min-p": float, "temperature": float, "frequency-penalty": float,
    "presence-penalty": float, "repetition-penalty": float,
}  # fmt: skip
# As vllm bench serve: nothing ends a request of a long run but its server.
_REQUEST_TIMEOUT_S = 6 * 3600.0

_MULTIMODAL = "tokgate sends text alone"
_OTHER_DATASET = f"tokgate has the datasets {', '.join(DATASETS)}; write the prompts to a file for custom"
_UNSUPPORTED = {
    "tokgate draws no plots: with --save-detailed the file holds what they are drawn from": (
        "plot-timeline", "timeline-itl-thresholds", "plot-dataset-stats",
    ),
    "a profiled server is slower; profile in a run of its own": ("profile",),
    "tokgate sends one kind of request a run": ("probe-request-rate", "lora-modules", "lora-assignment"),
    "ask for it with --extra-body": ("use-beam-search",),
    "certificates are checked; name the server's own authority in SSL_CERT_FILE": ("insecure",),
    "requests carry no ids; name a run with --header": ("request-id-prefix",),
    "--request-rate or a ramp says when requests are due": ("self-timed", "no-self-timed"),
    "it batches embeddings, and tokgate measures generation": ("random-batch-size", "no-reranker"),
    _MULTIMODAL: (
        "enable-multimodal-chat", "custom-ensure-client-side-data", "random-mm-base-items-per-request",
        "random-mm-num-mm-items-range-ratio", "random-mm-limit-mm-per-prompt", "random-mm-bucket-config",
        "asr-max-audio-len-sec", "asr-min-audio-len-sec",
    ),
    _OTHER_DATASET: (
        "no-stream", "hf-subset", "hf-split", "hf-name", "hf-output-len", "spec-bench-output-len",
        "spec-bench-category", "timed-trace-chunk-hash-size", "timed-trace-sec-multiplier",
        "timed-trace-label-timestamp", "timed-trace-label-input-length", "timed-trace-label-output-length",
        "timed-trace-label-hash-ids", "blazedit-min-distance", "blazedit-max-distance", "bfcl-categories",
        "speed-bench-dataset-subset", "speed-bench-output-len", "speed-bench-category",
    ),
}  # fmt: skip


class DashParser(CommandParser):
    """Takes --num_prompts for --num-prompts, as vLLM's parser does, and no abbreviations."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "allow_abbrev": False})

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        return super().parse_known_args(None if args is None else [_dashed(text) for text in args], namespace)


def add(parser: argparse.ArgumentParser) -> None:
    _add_server(parser.add_argument_group("server"))
    _add_traffic(parser.add_argument_group("traffic"))
    _add_datasets(parser.add_argument_group("dataset"))
    _add_sampling(parser.add_argument_group("sampling, where given"))
    _add_result(parser.add_argument_group("result"))
    for reason, names in _UNSUPPORTED.items():
        for name in names:
            parser.add_argument(f"--{name}", action=_Refusal, reason=reason, help=argparse.SUPPRESS)


def _add_server(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--backend", default="openai", choices=["openai", "openai-chat", "vllm"],
        help="openai and vllm: completions; openai-chat: chat completions (default: openai)",
    )  # fmt: skip
    group.add_argument("--base-url", metavar="URL", help="instead of --host and --port")
    group.add_argument("--host", default="127.0.0.1")
    group.add_argument("--port", type=int, default=8000)
    group.add_argument(
        "--endpoint", metavar="PATH", help="default: /v1/completions, with openai-chat /v1/chat/completions"
    )
    group.add_argument("--header", nargs="*", default=[], type=_pair, metavar="KEY=VALUE", help="for each request")
    group.add_argument("--model", help="its hub name or folder (default: the first that the server lists)")
    group.add_argument("--served-model-name", metavar="NAME", help="what requests call the model (default: --model)")
    group.add_argument("--tokenizer", metavar="NAME", help="hub name or folder (default: the model's)")
    group.add_argument("--tokenizer-mode", default="auto", choices=["auto", "hf"], help="both: transformers' own")
    group.add_argument("--trust-remote-code", action="store_true", help="run a tokenizer's own code")
    group.add_argument(
        "--skip-tokenizer-init", action="store_true", help="no tokenizer; prompts are those of --dataset-name custom"
    )
    group.add_argument(
        "--ready-check-timeout-sec", type=_number(0), default=0, metavar="SECONDS",
        help="how long to wait for a first request to succeed (default: no such request)",
    )  # fmt: skip
    group.add_argument(
        "--request-timeout-sec", type=_number(0, above=True), default=_REQUEST_TIMEOUT_S, metavar="SECONDS",
        help="a request that takes longer has failed (default: 6 hours; not a flag of vLLM)",
    )  # fmt: skip


def _add_traffic(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--num-prompts", type=int, default=1000, metavar="N", help="default: 1000")
    group.add_argument("--max-concurrency", type=_count(1), metavar="N", help="requests open at once (default: any)")
    group.add_argument(
        "--request-rate", type=_number(0, above=True), default=math.inf, metavar="RPS",
        help="requests a second, at times fixed in advance (default: inf, all at once)",
    )  # fmt: skip
    group.add_argument(
        "--burstiness", type=_number(0, above=True), default=1.0, metavar="SHAPE",
        help="1: Poisson (default); below: burstier; above: steadier; inf: constant",
    )  # fmt: skip
    group.add_argument("--ramp-up-strategy", choices=["linear", "exponential"], help="a rate that rises")
    group.add_argument("--ramp-up-start-rps", type=_count(0), metavar="RPS")
    group.add_argument("--ramp-up-end-rps", type=_count(0), metavar="RPS")
    group.add_argument("--num-warmups", type=_count(0), default=0, metavar="N", help="requests before those measured")
    group.add_argument("--seed", type=int, default=0, help="of prompts and of times (default: 0)")
    group.add_argument(
        "--processes", type=_count(1), default=1, metavar="N",
        help="client processes, which share the slots; of a rate's requests each has a fixed share (default: 1; not a"
        " flag of vLLM)",
    )  # fmt: skip


def _add_datasets(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--dataset-name", default="random", choices=DATASETS, help="default: random")
    group.add_argument("--dataset-path", metavar="FILE", help="of sharegpt and custom")
    group.add_argument("--input-len", type=_count(0), metavar="N", help="--random-input-len")
    group.add_argument("--output-len", type=_count(1), metavar="N", help="the output length, whatever the dataset")
    group.add_argument("--random-input-len", type=_count(0), default=1024, metavar="N", help="default: 1024")
    group.add_argument("--random-output-len", type=_count(1), default=128, metavar="N", help="default: 128")
    group.add_argument(
        "--random-range-ratio", default="0.0", metavar="RATIO",
        help='lengths vary by so much, 0 to below 1, or {"input": x, "output": y} (default: 0)',
    )  # fmt: skip
    group.add_argument("--random-prefix-len", type=_count(0), default=0, metavar="N", help="tokens all prompts share")
    group.add_argument("--sharegpt-output-len", type=_count(1), metavar="N", help="default: the answers' own")
    group.add_argument("--custom-output-len", type=int, default=256, metavar="N", help="default: 256; -1: the file's")
    group.add_argument("--prefix-repetition-prefix-len", type=_count(0), default=256, metavar="N", help="default: 256")
    group.add_argument("--prefix-repetition-suffix-len", type=_count(0), default=256, metavar="N", help="default: 256")
    group.add_argument("--prefix-repetition-num-prefixes", type=_count(1), default=10, metavar="N", help="default: 10")
    group.add_argument("--prefix-repetition-output-len", type=_count(1), default=128, metavar="N", help="default: 128")
    group.add_argument("--no-oversample", action="store_true", help="send no prompt of a file twice")
    group.add_argument("--disable-shuffle", action="store_true", help="keep a file's order")
    group.add_argument("--skip-chat-template", action="store_true", help="send custom prompts as they stand")
    group.add_argument("--chat-template-kwargs", type=_json_object, metavar="JSON", help="for custom prompts' template")


def _add_sampling(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--ignore-eos", action="store_true", help="always so with --dataset-name random")
    for name, kind in SAMPLING.items():
        group.add_argument(f"--{name}", type=kind)
    group.add_argument("--logprobs", type=_count(0), metavar="N")
    group.add_argument("--extra-body", type=_json_object, default={}, metavar="JSON", help="more keys of each request")


def _add_result(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--save-result", action="store_true", help="write a JSON file with vLLM's keys")
    group.add_argument("--save-detailed", action="store_true", help="with an entry for each request")
    group.add_argument("--append-result", action="store_true", help="add it to a file, on a line of its own")
    group.add_argument("--result-dir", metavar="DIR", help="default: the current folder")
    group.add_argument("--result-filename", metavar="NAME", help="default: made of label, rate, model and time")
    group.add_argument("--label", help="begins the file's name (default: the backend)")
    group.add_argument("--metadata", nargs="*", default=[], type=_pair, metavar="KEY=VALUE", help="keys of the file")
    group.add_argument(
        "--percentile-metrics", default="ttft,tpot,itl", metavar="NAMES",
        help="of ttft, tpot, itl, e2el, client_queue_time, e2el_including_client_queue (default: ttft,tpot,itl)",
    )  # fmt: skip
    group.add_argument("--metric-percentiles", default="99", metavar="NUMBERS", help="such as 50,90,99 (default: 99)")
    group.add_argument(
        "--goodput", nargs="+", default=[], metavar="NAME:MS",
        help="bounds that a good request keeps, of ttft, tpot and e2el, such as ttft:2000 tpot:50",
    )  # fmt: skip
    group.add_argument("--disable-tqdm", action="store_true", help="no live line")


class _Refusal(argparse.Action):
    """A flag of vLLM that tokgate does not have, and why."""

    def __init__(self, option_strings: Sequence[str], dest: str, reason: str, **options: Any) -> None:
        super().__init__(option_strings, dest, nargs="*", default=argparse.SUPPRESS, **options)
        self._reason = reason

    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> NoReturn:
        parser.error(f"{self.option_strings[0]} of vllm bench serve is not supported: {self._reason}")


def _dashed(text: str) -> str:
    name, equals, value = text.partition("=")
    return f"{name.replace('_', '-')}{equals}{value}" if name.startswith("--") else text


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise argparse.ArgumentTypeError(f"{text!r}; expected KEY=VALUE")
    return key.strip(), value.strip()


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}; expected a JSON object") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"{text!r}; expected a JSON object")
    return value


def _count(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"{text!r}; expected a whole number from {least} up")
        return value

    return parse


def _number(least: float, above: bool = False) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (value > least if above else value >= least):
            raise argparse.ArgumentTypeError(f"{text!r}; expected a number {'above' if above else 'from'} {least:g}")
        return value

    return parse
