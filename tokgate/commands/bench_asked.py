"""What the flags of `tokgate bench serve` ask for, checked before anything is loaded or sent."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tokgate.commands.bench_flags import SAMPLING
from tokgate.errors import InputError
from tokgate.serving.arrivals import Ramp, arrivals, ramped_arrivals
from tokgate.serving.bodies import BACKENDS, CHAT, Wishes
from tokgate.serving.datasets import custom, prefix_repetition, random_text, sharegpt
from tokgate.serving.datasets.sample import Sample
from tokgate.serving.datasets.tokenizer import Tokenizer
from tokgate.serving.endpoint import target
from tokgate.serving.measures import GOODPUT_METRICS
from tokgate.serving.request import Target
from tokgate.serving.setting import METRICS, Setting

_WITH_FILE = ("sharegpt", "custom")


def endpoint(args: argparse.Namespace, api_key: str | None) -> Target:
    """Where requests go. The key is sent as vLLM sends it, where no --header says otherwise."""
    path = args.endpoint or BACKENDS[args.backend].endpoint
    chat = BACKENDS[args.backend].endpoint == CHAT
    if path.partition("?")[0].endswith("/chat/completions") != chat or "completions" not in path:
        expected = "/chat/completions" if chat else "/completions, and not in /chat/completions"
        raise InputError(f"--endpoint {path}: with --backend {args.backend} expected one that ends in {expected}")
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    for key, value in args.header:
        # Names of headers have no case.
        headers = {name: kept for name, kept in headers.items() if name.lower() != key.lower()} | {key: value}
    return target(args.base_url, args.host, args.port, path, tuple(headers.items()))


def setting(args: argparse.Namespace) -> Setting:
    """All but the model and its tokenizer, which the server may have to say."""
    _check_dataset(args)
    _check_streamed(args.extra_body)
    return Setting(
        backend=args.backend,
        model=args.model or "",
        tokenizer=args.tokenizer,
        label=args.label,
        request_rate=args.request_rate,
        burstiness=args.burstiness,
        max_concurrency=args.max_concurrency,
        ramp=_ramp(args),
        metadata=dict(args.metadata),
        metrics=_metrics(args.percentile_metrics),
        percentiles=_percentiles(args.metric_percentiles),
    )


def starts_s(setting: Setting, count: int, seed: int) -> list[float] | None:
    """When requests are due, in seconds after the start; None for all at once."""
    if setting.ramp is not None:
        return ramped_arrivals(count, setting.ramp, setting.burstiness, seed)
    return arrivals(count, setting.request_rate, setting.burstiness, seed) if setting.scheduled else None


def goodput_ms(bounds: Sequence[str]) -> dict[str, float]:
    """--goodput ttft:2000 tpot:50 -> bounds in milliseconds by metric."""
    found = {}
    for bound in bounds:
        metric, _, value = bound.partition(":")
        try:
            found[metric] = float(value)
        except ValueError:
            found[metric] = math.nan
        if metric not in GOODPUT_METRICS or not found[metric] >= 0:
            raise InputError(
                f"--goodput {bound}: expected NAME:MILLISECONDS of {', '.join(GOODPUT_METRICS)}, such as ttft:2000"
            )
    return found


def wishes(args: argparse.Namespace, model: str) -> Wishes:
    """What each request asks for. Random prompts lead nowhere, so their answers never end by themselves."""
    given = {name.replace("-", "_"): getattr(args, name.replace("-", "_")) for name in SAMPLING}
    return Wishes(
        model=args.served_model_name or model,
        ignore_eos=args.ignore_eos or args.dataset_name == "random",
        logprobs=args.logprobs,
        extra={**{name: value for name, value in given.items() if value is not None}, **args.extra_body},
    )


def samples(args: argparse.Namespace, tokenizer: Tokenizer | None) -> list[Sample]:
    """The prompts of the dataset that was asked for."""
    shuffle, oversample = not args.disable_shuffle, not args.no_oversample
    if args.dataset_name == "custom":
        template = None if args.skip_chat_template else args.chat_template_kwargs or {}
        output_len = args.output_len or args.custom_output_len
        path = Path(args.dataset_path)
        return custom.samples(tokenizer, path, args.num_prompts, args.seed, output_len, template, shuffle, oversample)
    assert tokenizer is not None, "refused by _check_dataset"
    if args.dataset_name == "sharegpt":
        output_len = args.output_len or args.sharegpt_output_len
        path = Path(args.dataset_path)
        return sharegpt.samples(tokenizer, path, args.num_prompts, args.seed, output_len, shuffle, oversample)
    if args.dataset_name == "prefix_repetition":
        shape = prefix_repetition.Shape(
            args.prefix_repetition_prefix_len, args.prefix_repetition_suffix_len, args.prefix_repetition_num_prefixes,
            args.output_len or args.prefix_repetition_output_len,
        )  # fmt: skip
        return prefix_repetition.samples(tokenizer, args.num_prompts, shape, args.seed, shuffle)
    return random_text.samples(tokenizer, args.num_prompts, random_shape(args), args.seed)


def random_shape(args: argparse.Namespace) -> random_text.Shape:
    input_ratio, output_ratio = random_text.range_ratios(args.random_range_ratio)
    return random_text.Shape(
        input_len=args.random_input_len if args.input_len is None else args.input_len,
        output_len=args.output_len or args.random_output_len,
        prefix_len=args.random_prefix_len,
        input_ratio=input_ratio,
        output_ratio=output_ratio,
    )


def sample_notes(args: argparse.Namespace, made: Sequence[Sample]) -> Iterator[str]:
    """What is odd about the prompts, to be read beside the result."""
    if 0 < args.num_prompts != len(made):
        yield f"{len(made)} prompts, not --num-prompts {args.num_prompts}: the dataset gives no other number"
    if args.dataset_name == "random":
        shape = random_shape(args)
        other = [sample.prompt_len for sample in made if sample.prompt_len != shape.prefix_len + shape.input_len]
        if other and not shape.input_ratio:
            yield (
                f"{len(other)} prompts are not of the {shape.prefix_len + shape.input_len} tokens asked for (the first "
                f"of {other[0]}): the tokenizer splits no text into exactly that many"
            )
    if args.dataset_name == "custom" and args.backend == "openai-chat" and not args.skip_chat_template:
        yield "the chat template is applied here and again by the server, as by vllm bench serve: --skip-chat-template"


def _check_dataset(args: argparse.Namespace) -> None:
    name = args.dataset_name
    if (args.dataset_path is None) == (name in _WITH_FILE):
        wants = "needs --dataset-path FILE" if name in _WITH_FILE else "has no file; leave --dataset-path out"
        raise InputError(f"--dataset-name {name} {wants}")
    if args.num_prompts < 1 and name != "custom":
        raise InputError(f"--num-prompts {args.num_prompts}: expected at least 1; only custom takes 0 for all prompts")
    if args.skip_tokenizer_init and name != "custom":
        raise InputError(
            f"--skip-tokenizer-init: the {name} dataset counts tokens; name a tokenizer with --tokenizer, or send the "
            "prompts of a file with --dataset-name custom"
        )
    if args.custom_output_len < 1 and args.custom_output_len != custom.LEN_OF_FILE:
        raise InputError(f"--custom-output-len {args.custom_output_len}: expected at least 1, or -1 for the file's own")
    random_text.range_ratios(args.random_range_ratio)


def _check_streamed(extra_body: Mapping[str, Any]) -> None:
    if extra_body.get("stream", True) is not True:
        raise InputError(
            f'--extra-body: "stream": {json.dumps(extra_body["stream"])}; expected true, or no such key: TTFT, TPOT '
            "and ITL are the times at which a streamed answer's messages arrive, and without a stream there are none"
        )


def _ramp(args: argparse.Namespace) -> Ramp | None:
    start, end = args.ramp_up_start_rps, args.ramp_up_end_rps
    if args.ramp_up_strategy is None:
        if start is not None or end is not None:
            raise InputError("--ramp-up-start-rps and --ramp-up-end-rps need --ramp-up-strategy linear or exponential")
        return None
    if not math.isinf(args.request_rate):
        raise InputError("--ramp-up-strategy sets the rate; leave --request-rate out")
    if start is None or end is None:
        raise InputError(
            f"--ramp-up-strategy {args.ramp_up_strategy} needs both --ramp-up-start-rps and --ramp-up-end-rps: the "
            "requests a second that it begins and ends with"
        )
    if not 1 <= start <= end:
        raise InputError(f"--ramp-up-start-rps {start} --ramp-up-end-rps {end}: expected 1 or more, the end no lower")
    return Ramp(args.ramp_up_strategy, start, end)


def _metrics(names: str) -> tuple[str, ...]:
    found = tuple(name.strip() for name in names.split(","))
    unknown = [name for name in found if name not in METRICS]
    if unknown:
        raise InputError(f"--percentile-metrics: there is no {unknown[0]!r}; expected some of {','.join(METRICS)}")
    return found


def _percentiles(texts: str) -> tuple[float, ...]:
    try:
        found = tuple(float(text) for text in texts.split(","))
    except ValueError:
        found = (math.nan,)
    if not all(0 <= percentile <= 100 for percentile in found):
        raise InputError(f"--metric-percentiles {texts}: expected numbers from 0 to 100, such as 50,90,99")
    return found
