"""What the flags of `tokgate bench serve` ask for."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import pytest

from tests.unit.serving.datasets.tokenizers import Words
from tokgate.commands import bench_asked, bench_flags
from tokgate.errors import InputError
from tokgate.serving.arrivals import Ramp

pytestmark = pytest.mark.unit


def asked(*flags: str) -> argparse.Namespace:
    parser = bench_flags.DashParser()
    bench_flags.add(parser)
    return parser.parse_args(flags)


def test_the_defaults_are_vllms() -> None:
    args = asked()
    setting = bench_asked.setting(args)
    assert (args.num_prompts, args.random_input_len, args.random_output_len, args.seed) == (1000, 1024, 128, 0)
    assert (args.backend, args.dataset_name, args.num_warmups, args.ready_check_timeout_sec) == (
        "openai",
        "random",
        0,
        0,
    )
    assert (setting.request_rate, setting.burstiness, setting.max_concurrency) == (math.inf, 1.0, None)
    assert (setting.metrics, setting.percentiles) == (("ttft", "tpot", "itl"), (99.0,))
    assert bench_asked.endpoint(args, None).url == "http://127.0.0.1:8000/v1/completions"
    assert bench_asked.starts_s(setting, 5, 0) is None


def test_chat_has_an_endpoint_of_its_own() -> None:
    assert bench_asked.endpoint(asked("--backend", "openai-chat"), None).path == "/v1/chat/completions"


@pytest.mark.parametrize(
    ("backend", "path"), [("openai", "/v1/chat/completions"), ("openai-chat", "/v1/completions"), ("vllm", "/generate")]
)
def test_an_endpoint_of_another_kind_is_refused(backend: str, path: str) -> None:
    with pytest.raises(InputError, match=f"--endpoint {path}: with --backend {backend} expected"):
        bench_asked.endpoint(asked("--backend", backend, "--endpoint", path), None)


def test_a_key_is_sent_but_where_a_header_says_otherwise() -> None:
    assert bench_asked.endpoint(asked(), "secret").headers == (("Authorization", "Bearer secret"),)
    other = asked("--header", "authorization=Basic x=", "X-Run=1")
    assert bench_asked.endpoint(other, "secret").headers == (("authorization", "Basic x="), ("X-Run", "1"))


def test_random_answers_never_end_by_themselves() -> None:
    """vllm bench serve sets ignore_eos for random prompts, and for no others."""
    assert bench_asked.wishes(asked(), "m").ignore_eos
    assert not bench_asked.wishes(asked("--dataset-name", "prefix_repetition"), "m").ignore_eos
    assert bench_asked.wishes(asked("--dataset-name", "prefix_repetition", "--ignore-eos"), "m").ignore_eos


def test_sampling_is_sent_where_given_and_extra_keys_win() -> None:
    assert bench_asked.wishes(asked(), "m").extra == {}
    args = asked("--temperature", "0", "--top-k", "5", "--extra-body", '{"top_k": 9}', "--served-model-name", "alias")
    wishes = bench_asked.wishes(args, "m")
    assert (wishes.extra, wishes.model) == ({"temperature": 0.0, "top_k": 9}, "alias")


def test_an_extra_body_may_ask_for_the_stream_that_is_measured() -> None:
    args = asked("--extra-body", '{"stream": true}')
    bench_asked.setting(args)
    assert bench_asked.wishes(args, "m").extra == {"stream": True}


def test_one_output_length_is_that_of_any_dataset(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('{"prompt": "w1"}')
    for flags in (
        ("random",), ("prefix_repetition",), ("custom", "--dataset-path", f"{tmp_path}/p.jsonl", "--skip-chat-template")
    ):  # fmt: skip
        args = asked("--dataset-name", *flags, "--output-len", "7", "--input-len", "9", "--num-prompts", "10")
        assert {sample.output_len for sample in bench_asked.samples(args, Words())} == {7}


def test_input_len_is_that_of_random() -> None:
    shape = bench_asked.random_shape(
        asked("--input-len", "9", "--random-prefix-len", "2", "--random-range-ratio", "0.5")
    )
    assert (shape.input_len, shape.prefix_len, shape.input_ratio, shape.output_ratio) == (9, 2, 0.5, 0.5)


def test_what_is_odd_about_the_prompts_is_noted() -> None:
    args = asked("--dataset-name", "prefix_repetition", "--num-prompts", "13", "--prefix-repetition-num-prefixes", "5")
    (note,) = bench_asked.sample_notes(args, bench_asked.samples(args, Words()))
    assert note.startswith("10 prompts, not --num-prompts 13")
    args = asked("--num-prompts", "3", "--input-len", "8")
    assert list(bench_asked.sample_notes(args, bench_asked.samples(args, Words()))) == []


def test_a_ramp_gives_the_times() -> None:
    flags = (
        "--ramp-up-strategy",
        "linear",
        "--ramp-up-start-rps",
        "1",
        "--ramp-up-end-rps",
        "9",
        "--burstiness",
        "inf",
    )
    setting = bench_asked.setting(asked(*flags))
    assert setting.ramp == Ramp("linear", 1, 9)
    assert bench_asked.starts_s(setting, 2, 0) == pytest.approx([1.0, 1.0 + 1 / 9])


def test_goodput_is_bounds_in_milliseconds() -> None:
    assert bench_asked.goodput_ms(["ttft:2000", "tpot:50"]) == {"ttft": 2000, "tpot": 50}


@pytest.mark.parametrize("bound", ["ttft", "ttft:", "ttft:x", "ttft:-1", "ttft:nan", "itl:5"])
def test_other_bounds_are_refused(bound: str) -> None:
    with pytest.raises(InputError, match="expected NAME:MILLISECONDS of ttft, tpot, e2el"):
        bench_asked.goodput_ms([bound])


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--dataset-name", "custom"], "--dataset-name custom needs --dataset-path FILE"),
        (["--dataset-path", "x"], "--dataset-name random has no file"),
        (["--num-prompts", "0"], "--num-prompts 0: expected at least 1"),
        (["--skip-tokenizer-init"], "--skip-tokenizer-init: the random dataset counts tokens"),
        (["--custom-output-len", "0"], "--custom-output-len 0: expected at least 1, or -1"),
        (["--random-range-ratio", "2"], "--random-range-ratio '2'"),
        (["--percentile-metrics", "ttft,foo"], "there is no 'foo'; expected some of ttft,tpot,itl,e2el"),
        (["--metric-percentiles", "50,101"], "expected numbers from 0 to 100"),
        (["--metric-percentiles", "p99"], "expected numbers from 0 to 100"),
        (["--ramp-up-start-rps", "1"], "need --ramp-up-strategy"),
        (["--ramp-up-strategy", "linear", "--request-rate", "3"], "leave --request-rate out"),
        (["--ramp-up-strategy", "linear"], "linear needs both --ramp-up-start-rps and --ramp-up-end-rps: "),
        (["--ramp-up-strategy", "linear", "--ramp-up-start-rps", "5"], "needs both"),
        (["--ramp-up-strategy", "linear", "--ramp-up-start-rps", "5", "--ramp-up-end-rps", "4"], "the end no lower"),
        (["--ramp-up-strategy", "linear", "--ramp-up-start-rps", "0", "--ramp-up-end-rps", "4"], "expected 1 or more"),
        (["--extra-body", '{"stream": false}'], '"stream": false; expected true, or no such key: TTFT'),
        (["--extra-body", '{"stream": null}'], '"stream": null; expected true'),
    ],
)
def test_what_contradicts_itself_is_refused(flags: list[str], said: str) -> None:
    with pytest.raises(InputError) as refused:
        bench_asked.setting(asked(*flags))
    assert said in str(refused.value)


def test_every_flag_that_is_not_supported_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    names: list[Any] = [name for names in bench_flags._UNSUPPORTED.values() for name in names]
    assert len(names) == len(set(names)) > 30
    for name in names:
        with pytest.raises(SystemExit) as ended:
            asked(f"--{name}")
        assert ended.value.code == 2
        assert f"--{name} of vllm bench serve is not supported: " in capsys.readouterr().err
