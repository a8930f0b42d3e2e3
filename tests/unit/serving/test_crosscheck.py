"""What both load clients are told, and what their files make of it."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from serving.loads import raw_server, target
from tests.unit.serving.examples import RESULT
from tokgate.errors import MeasurementError
from tokgate.plan import PlanRow, Traffic
from tokgate.serving.crosscheck import BothClients, bench_flags, server_ttft_s
from tokgate.serving.request import Target
from tokgate.serving.server import free_port

pytestmark = pytest.mark.unit

ROW = PlanRow("row", 50, 512, 512, Traffic(200, both_clients=True))
# Writes the result that is told, as `bench serve` would, and that it was asked.
BENCH = """#!{python}
import json, pathlib, sys, urllib.request
assert urllib.request.proxy_bypass("127.0.0.1") and urllib.request.proxy_bypass("host.example")
words = sys.argv[1:]
value = lambda name: words[words.index(name) + 1]
path = pathlib.Path(value("--result-dir")) / value("--result-filename")
with open({log!r}, "a") as log:
    log.write(value("--seed") + " ")
print("the last words")
if {result!r} is not None:
    path.write_text(json.dumps({result!r}))
"""


def clients(
    folder: Path, monkeypatch: pytest.MonkeyPatch, result: dict[str, Any] | None, metrics: Target | None = None
) -> BothClients:
    """Both commands are the same script; of a server without metrics unless told where."""
    python = folder / "python"
    python.write_text(BENCH.format(python=sys.executable, log=str(folder / "log"), result=result))
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    page = metrics or target(f"http://127.0.0.1:{free_port()}")
    return BothClients(str(python), "http://127.0.0.1:8000", "m", "/models/m", folder, page)


@contextmanager
def counting_server(*told: tuple[int, float] | None) -> Iterator[str]:
    """Whose page says of each time that it is asked another (requests, sum of their TTFT in seconds), or breaks off."""
    left = iter(told)

    def talk(peer: socket.socket) -> None:
        peer.recv(65536)
        if (said := next(left)) is None:
            return
        requests, seconds = said
        name = "vllm:time_to_first_token_seconds"
        page = f'{name}_count{{engine="0"}} {requests}\n{name}_sum{{engine="0"}} {seconds}\n'
        peer.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(page)}\r\n\r\n{page}".encode())

    with raw_server(talk) as url:
        yield url


def test_both_are_given_the_guides_flags() -> None:
    words = bench_flags(ROW, "http://127.0.0.1:8000", "m", "/models/m", 7, Path("/tmp/file.json"))
    assert words[:2] == ["bench", "serve"]
    for name, value in {
        "--num-prompts": "200", "--max-concurrency": "50", "--random-input-len": "512", "--random-output-len": "512",
        "--seed": "7", "--result-filename": "file.json", "--ready-check-timeout-sec": "0",
    }.items():  # fmt: skip
        assert words[words.index(name) + 1] == value
    assert {"--ignore-eos", "--save-result"} <= set(words)


def test_rounds_go_abba_with_prompts_that_the_server_has_not_seen(tmp_path, monkeypatch) -> None:
    """tokgate's client, then vllm's, in rounds of an even number; each by the seed that it was given."""
    both = clients(tmp_path, monkeypatch, RESULT)
    first = both.run(ROW, 0, 70)
    both.run(ROW, 1, 80)
    both.run(ROW, 2, 2**33 - 1)
    assert (tmp_path / "log").read_text().split() == ["70", "71", "81", "80", str(2**32 - 1), "0"]
    assert (first.fault, first.doubt) == (None, None)
    figures = first.figures
    assert figures["output_throughput"] == figures["vllm_bench_output_throughput"] == RESULT["output_throughput"]
    assert figures["mean_ttft"] == pytest.approx(RESULT["mean_ttft_ms"] / 1e3)
    assert first.total_s == pytest.approx(2 * RESULT["duration"])


def test_both_go_past_a_proxy(tmp_path, monkeypatch) -> None:
    """Which the one of them would take, and the other not."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "localhost")
    assert clients(tmp_path, monkeypatch, RESULT).run(ROW, 0, 7).fault is None


def test_other_work_than_was_asked_for_is_a_fault_of_that_client(tmp_path, monkeypatch) -> None:
    short = {**RESULT, "total_output_tokens": RESULT["total_output_tokens"] - 1}
    found = clients(tmp_path, monkeypatch, short).run(ROW, 0, 7)
    assert "tokgate's client: 102399 output tokens; asked for were 102400" in str(found.fault)


def test_timings_that_cannot_be_are_a_doubt_and_no_fault_of_the_work(tmp_path, monkeypatch) -> None:
    found = clients(tmp_path, monkeypatch, {**RESULT, "median_ttft_ms": 0.0}).run(ROW, 0, 7)
    assert found.fault is None
    assert "vllm's client: median_ttft_ms is 0" in str(found.doubt)


def test_a_command_that_writes_nothing_is_told_with_its_last_words(tmp_path, monkeypatch) -> None:
    with pytest.raises(
        MeasurementError, match=r"tokgate bench serve ended with status 0 and no result:\nthe last words"
    ):
        clients(tmp_path, monkeypatch, None).run(ROW, 0, 7)


def test_each_clients_ttft_is_held_against_the_servers_own_of_the_same_requests(tmp_path, monkeypatch) -> None:
    """First a round of ours, then one of theirs, each between two pages; the second round is the other way round."""
    mean_s = RESULT["mean_ttft_ms"] / 1e3
    ours, theirs = 200 * (mean_s - 0.002), 200 * (mean_s - 0.005)
    pages = [(10, 1.0), (210, 1.0 + ours), (210, 1.0 + ours), (410, 1.0 + ours + theirs)]
    pages += [(410, 0.0), (610, theirs), (610, theirs), (810, theirs + ours)]
    with counting_server(*pages) as url:
        both = clients(tmp_path, monkeypatch, RESULT, target(url))
        for number in (0, 1):
            figures = both.run(ROW, number, 70 + number).figures
            assert figures["ttft_overhead"] == pytest.approx(0.002)
            assert figures["vllm_bench_ttft_overhead"] == pytest.approx(0.005)


def test_where_others_asked_the_server_too_its_ttft_is_of_other_requests(tmp_path, monkeypatch) -> None:
    with counting_server((0, 0.0), (201, 2.0), (201, 2.0), (401, 4.0)) as url:
        found = clients(tmp_path, monkeypatch, RESULT, target(url)).run(ROW, 0, 70)
    assert found.untold == "tokgate's client: the server counted 201 first tokens, and 200 requests were sent"
    assert "ttft_overhead" not in found.figures
    assert "vllm_bench_ttft_overhead" in found.figures
    assert found.doubt is None


def test_a_server_that_tells_nothing_of_itself_leaves_it_at_what_the_clients_say(tmp_path, monkeypatch) -> None:
    found = clients(tmp_path, monkeypatch, RESULT).run(ROW, 0, 70)
    assert not {"ttft_overhead", "vllm_bench_ttft_overhead"} & found.figures.keys()
    assert "mean_ttft" in found.figures
    assert str(found.untold).startswith("tokgate's client: the server's /metrics could not be read; vllm's client: ")


def test_a_page_that_fails_once_is_asked_for_again(tmp_path, monkeypatch) -> None:
    """The second page is cut short."""
    with counting_server((0, 0.0), None, (200, 2.0), (200, 2.0), (400, 4.0)) as url:
        found = clients(tmp_path, monkeypatch, RESULT, target(url)).run(ROW, 0, 70)
    assert found.untold is None
    assert found.figures["ttft_overhead"] == found.figures["vllm_bench_ttft_overhead"]


@pytest.mark.parametrize("beyond_s", [0.0, 0.01])
def test_a_client_that_is_ahead_of_the_server_has_a_wrong_clock(tmp_path, monkeypatch, beyond_s: float) -> None:
    """Its TTFT is too small as well, and must not pass for that."""
    server_s = 200 * (RESULT["mean_ttft_ms"] / 1e3 + beyond_s + 1e-12)
    with counting_server((0, 0.0), (200, server_s), (200, server_s), (400, server_s + 2.0)) as url:
        found = clients(tmp_path, monkeypatch, RESULT, target(url)).run(ROW, 0, 70)
    assert str(found.doubt).startswith("tokgate's client: its mean TTFT is ")
    assert f"{1e3 * beyond_s:.1f} ms below what the server counted" in str(found.doubt)
    assert "ttft_overhead" not in found.figures


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ("a_count 1", "a_count 2", "no time to first token"),
        ("vllm:num_preemptions_total 2", "vllm:num_preemptions_total 1", "a counter fell"),
    ],
)
def test_why_the_servers_own_ttft_is_not_known_is_said(before: str, after: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        server_ttft_s(before.encode(), after.encode(), 200)
