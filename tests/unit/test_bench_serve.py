"""`tokgate bench serve` against the stub server: what it sends, prints, writes, and exits with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tokgate.cli import main
from tokgate.serving import client, vllm_file, vllm_result
from tokgate.serving.load import ClientHealth, LoadResult
from tokgate.stub.process import StubProcess, running

pytestmark = pytest.mark.unit

FAST = ("--ttft-ms", "1", "--itl-ms", "0.2")
PROMPTS = [{"prompt": f"one two three {number}"} for number in range(6)]


@pytest.fixture(scope="module")
def stub() -> Iterator[StubProcess]:
    with running(*FAST, "--served-model-name", "m") as server:
        yield server


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command keeps torch out of its process; this one is shared with other tests. And no key of the user's."""
    monkeypatch.setenv("USE_TORCH", "AUTO")
    monkeypatch.setenv("TRANSFORMERS_NO_ADVISORY_WARNINGS", "0")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture(autouse=True)
def client_that_keeps_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else this machine does meanwhile."""
    monkeypatch.setattr(LoadResult, "client_fault", lambda self: None)
    monkeypatch.setattr(ClientHealth, "itl_doubt", lambda self, itl_s: None)


class Bench:
    """Runs the command on a file of six prompts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.prompts = folder / "prompts.jsonl"
        self.prompts.write_text("\n".join(map(json.dumps, PROMPTS)))

    def __call__(self, url: str, *flags: str) -> int:
        dataset = ["--dataset-name", "custom", "--dataset-path", str(self.prompts), "--skip-tokenizer-init"]
        size = ["--num-prompts", "6", "--custom-output-len", "5", "--ignore-eos", "--max-concurrency", "2"]
        return main(["bench", "serve", "--base-url", url, *dataset, *size, *flags])

    def saved(self) -> dict[str, Any]:
        (path,) = (self.folder / "results").glob("*.json")
        return json.loads(path.read_text())

    @property
    def save(self) -> tuple[str, ...]:
        return "--save-result", "--result-dir", str(self.folder / "results")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def truth(stub: StubProcess) -> Any:
    return json.load(urllib.request.urlopen(f"{stub.url}/truth"))


def reset(stub: StubProcess) -> None:
    urllib.request.urlopen(urllib.request.Request(f"{stub.url}/reset", method="POST")).read()


def test_the_guides_url_works_and_every_token_is_accounted_for(
    bench: Bench, stub: StubProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    reset(stub)
    assert bench(f"{stub.url}/v1", "--endpoint", "/completions", *bench.save, "--save-detailed") == 0
    said = capsys.readouterr()
    assert f"{'Successful requests:':<40} 6" in said.out
    assert "model: m, the first that the server lists" in said.err
    assert len(truth(stub)["requests"]) == 6
    found = bench.saved()
    assert (found["completed"], found["failed"], found["total_output_tokens"]) == (6, 0, 30)
    assert (found["model_id"], found["tokenizer_id"], found["max_concurrent_requests"]) == ("m", None, 2)
    assert found["output_lens"] == [5] * 6
    assert found["errors"] == [""] * 6
    assert all(found["generated_texts"])


def test_chat_goes_to_its_own_endpoint(bench: Bench, stub: StubProcess) -> None:
    assert bench(stub.url, "--backend", "openai-chat", "--skip-chat-template", *bench.save) == 0
    assert bench.saved()["total_output_tokens"] == 30


def test_requests_are_sent_at_the_times_of_a_rate(bench: Bench, stub: StubProcess) -> None:
    assert bench(stub.url, "--request-rate", "100", "--burstiness", "inf", *bench.save, "--save-detailed") == 0
    found = bench.saved()
    assert (found["request_rate"], found["burstiness"]) == (100, "inf")
    assert found["duration"] >= 0.06
    assert found["tokgate"]["ttft_from_due_ms"]["mean"] >= found["mean_ttft_ms"]


def test_a_ramp_is_told_in_the_file(bench: Bench, stub: StubProcess) -> None:
    ramp = ("--ramp-up-strategy", "linear", "--ramp-up-start-rps", "50", "--ramp-up-end-rps", "100")
    assert bench(stub.url, *ramp, *bench.save) == 0
    found = bench.saved()
    assert (found["ramp_up_strategy"], found["request_rate"]) == ("linear", "inf")
    assert [event["rps"] for event in found["rps_change_events"]] == list(range(50, 101))


def test_several_processes_and_a_warm_up_send_what_one_does(bench: Bench, stub: StubProcess) -> None:
    reset(stub)
    assert bench(stub.url, "--processes", "2", "--num-warmups", "3", "--ready-check-timeout-sec", "9", *bench.save) == 0
    assert bench.saved()["completed"] == 6
    assert len(truth(stub)["requests"]) == 6 + 3 + 1


def test_a_failed_request_is_status_4_and_told_by_kind(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    """Each of these is a success, or no failure in the exit status, to vllm bench serve."""
    with running(*FAST, "--fault", "0:error-object", "--fault", "1:500", "--fault", "2:short") as faulty:
        assert bench(faulty.url, *bench.save, "--save-detailed") == 4
    said = capsys.readouterr()
    assert "3 of 6 requests failed: no valid result" in said.err
    assert f"{'  error inside the stream:':<40} 1" in said.out
    assert f"{'Success rate (%):':<40} 50.00" in said.out
    found = bench.saved()
    assert found["tokgate"]["failures"] == {"error inside the stream": 1, "HTTP 5xx": 1, "wrong number of tokens": 1}
    assert sum(map(bool, found["errors"])) == found["failed"] == 3


@pytest.mark.parametrize(
    ("cpu_share", "told"),
    [
        (0.5, "the client was late, or more client processes (--processes 2)"),
        (0.014, "the client was late; it used 1.4% of one itself, so something else held the cores it runs on"),
    ],
)
def test_a_client_that_was_too_slow_is_status_4_and_advised_by_how_busy_it_was(
    bench: Bench,
    stub: StubProcess,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    cpu_share: float,
    told: str,
) -> None:
    """A client that idles is late because of others: with more processes it would be as late."""
    monkeypatch.setattr(LoadResult, "client_fault", lambda self: "the client was late")
    real = client.run_load
    monkeypatch.setattr(client, "run_load", lambda *args: with_cpu_share(real(*args), cpu_share))
    assert bench(stub.url, *bench.save) == 4
    assert f"no valid result: {told}" in capsys.readouterr().err
    assert bench.saved()["tokgate"]["client_fault"] == told


def with_cpu_share(result: LoadResult, cpu_share: float) -> LoadResult:
    return replace(result, health=replace(result.health, cpu_share=cpu_share))


def test_an_itl_whose_spread_is_the_client_s_own_is_withheld_and_the_rest_stands(
    bench: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ClientHealth, "itl_doubt", lambda self, itl_s: "the client was late")
    with running("--itl-ms", "30") as slow:
        assert bench(slow.url, *bench.save, "--metric-percentiles", "50,99") == 0
    said = capsys.readouterr().out
    assert f"{'P99 ITL (ms):':<40} withheld" in said
    assert f"{'Spread of ITL:':<40} withheld\n    the client was late" in said
    found = bench.saved()
    assert found["tokgate"]["itl_doubt"] == "the client was late"
    assert (found["p99_itl_ms"], found["std_itl_ms"]) == (None, None)
    assert found["p50_itl_ms"] == found["median_itl_ms"] > 0
    assert min(found["mean_itl_ms"], found["p99_ttft_ms"], found["p99_tpot_ms"]) > 0
    (path,) = (bench.folder / "results").glob("*.json")
    file = vllm_file.parse(found, path.name)
    assert vllm_result.faults(file) == []
    assert {"median_itl", "p99_itl"} & file.latencies_ms.keys() == {"median_itl"}


def test_what_it_writes_can_be_judged(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    """By limits for this workload: one that it keeps, and one that it cannot."""
    row = 'scenario = "tiny.serve.fp16.c2.p4.o5"'
    limits = bench.folder / "baselines" / "nvidia-t4" / "limits.toml"
    limits.parent.mkdir(parents=True)
    limits.write_text(
        f'[[workload]]\n{row}\nnum_prompts = 6\nsource = "a test"\n'
        f'[[limit]]\n{row}\nmetric = "success_rate"\nmin = 100\nunit = "%"\nsource = "a test"\n'
        f'[[limit]]\n{row}\nmetric = "output_throughput"\nmin = 1e9\nunit = "tok/s"\nsource = "a test"\n'
    )
    # Slower than tokens could come at once on a busy machine.
    with running("--itl-ms", "30") as slow:
        assert bench(slow.url, *bench.save) == 0
    (path,) = (bench.folder / "results").glob("*.json")
    assert main(["judge", str(path), "--machine", "nvidia-t4", "--baselines", str(limits.parents[1])]) == 1
    assert "1 of 2 limits kept" in capsys.readouterr().out


def test_nobody_there_is_status_4_with_what_to_do(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench("http://127.0.0.1:1") == 4
    assert "no server at 127.0.0.1:1" in capsys.readouterr().err


def test_tls_to_a_server_without_says_so(bench: Bench, stub: StubProcess, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench(stub.url.replace("http:", "https:"), "--model", "m", *bench.save) == 4
    said = capsys.readouterr()
    assert f"{'  connection refused:':<40} 6" in said.out
    assert "[SSL: " in said.out
    assert f"{'Request throughput (req/s):':<40} 0.00" in said.out
    assert "6 of 6 requests failed: no valid result" in said.err
    assert bench.saved()["duration"] > 0


def test_another_model_is_told_before_the_run(
    bench: Bench, stub: StubProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(stub.url, "--model", "other", "--ready-check-timeout-sec", "60") == 4
    assert "a first request failed: HTTP 4xx" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--profile"], "--profile of vllm bench serve is not supported: a profiled server is slower"),
        (["--lora-modules", "a", "b"], "--lora-modules of vllm bench serve is not supported"),
        (["--no-such-flag"], "unrecognized arguments: --no-such-flag"),
        (["--num-prompt", "3"], "unrecognized arguments: --num-prompt"),
        (["--backend", "tgi"], "invalid choice: 'tgi'"),
        (["--dataset-name", "hf"], "invalid choice: 'hf'"),
        (["--max-concurrency", "0"], "'0'; expected a whole number from 1 up"),
        (["--request-rate", "0"], "'0'; expected a number above 0"),
        (["--extra-body", "[]"], "'[]'; expected a JSON object"),
        (["--metadata", "x"], "'x'; expected KEY=VALUE"),
    ],
)
def test_what_is_no_flag_or_no_value_of_one_is_status_2(
    bench: Bench, flags: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        bench("http://127.0.0.1:1", *flags)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--goodput", "itl:5"], "--goodput itl:5: expected NAME:MILLISECONDS"),
        (["--endpoint", "/v1/chat/completions"], "with --backend openai expected one that ends in /completions"),
        (["--metric-percentiles", "101"], "expected numbers from 0 to 100"),
        (["--extra-body", '{"stream": false}'], '--extra-body: "stream": false; expected true'),
    ],
)
def test_what_cannot_be_done_is_status_2_before_anything_is_sent(
    bench: Bench, flags: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench("http://127.0.0.1:1", *flags) == 2
    assert said in capsys.readouterr().err


def test_underscores_are_dashes(bench: Bench, stub: StubProcess) -> None:
    assert bench(stub.url, "--save_result", f"--result_dir={bench.folder / 'results'}") == 0
    assert bench.saved()["completed"] == 6


def test_the_guides_command_in_a_process_of_its_own(stub: StubProcess, tmp_path: Path) -> None:
    """Random prompts by a real tokenizer. The stub counts words, so do these tokens."""
    pytest.importorskip("transformers", reason="tokenizers are of transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({f"t{number}": number for number in range(500)}, unk_token="t0"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "OfAVersionToCome"}')
    flags = (
        "--backend", "openai", "--base-url", f"{stub.url}/v1", "--endpoint", "/completions", "--model", "m",
        "--tokenizer", str(tmp_path), "--max-concurrency", "5", "--num-prompts", "20", "--ignore-eos",
        "--random-input-len", "32", "--random-output-len", "16", "--save-result", "--result-dir", "./results",
    )  # fmt: skip
    command = [sys.executable, "-m", "tokgate", "bench", "serve", *flags]
    here = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": here, "USE_TORCH": "0"}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert ended.returncode in (0, 4), ended.stderr
    (path,) = (tmp_path / "results").glob("openai-infqps-concurrency5-m-*.json")
    found = json.loads(path.read_text())
    assert (found["completed"], found["total_input_tokens"], found["total_output_tokens"]) == (20, 640, 320)
    assert ended.returncode == (4 if found["tokgate"]["client_fault"] else 0)
