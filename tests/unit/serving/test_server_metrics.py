"""What a server tells of itself at /metrics, read as vLLM writes it."""

from __future__ import annotations

import time

import pytest

from serving.loads import raw_server, target, trickling_server
from tokgate.serving import server_metrics
from tokgate.serving.figures import queue_of
from tokgate.serving.request import Target
from tokgate.serving.server import free_port
from tokgate.serving.server_metrics import MetricsWatch, fetch, reading, readings, server_use

pytestmark = pytest.mark.unit

# As vLLM 0.32 writes it, cut.
TEXT = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{{engine="0",model_name="tiny-dummy"}} {running}
vllm:num_requests_waiting{{engine="0",model_name="tiny-dummy"}} 0.0
vllm:num_requests_waiting_by_reason{{engine="0",model_name="tiny-dummy",reason="capacity"}} 9.0
vllm:kv_cache_usage_perc{{engine="0",model_name="tiny-dummy"}} 0.25
vllm:kv_cache_usage_perc{{engine="1",model_name="tiny-dummy"}} {used}
# TYPE vllm:num_preemptions counter
vllm:num_preemptions_total{{engine="0",model_name="tiny-dummy"}} {preemptions}
vllm:num_preemptions_created{{engine="0",model_name="tiny-dummy"}} 1.7952846331703856e+09
vllm:prefix_cache_queries_total{{engine="0"}} {queries}
vllm:prefix_cache_hits_total{{engine="0"}} 0.0
vllm:request_queue_time_seconds_bucket{{engine="0",le="0.3"}} 4.0
vllm:request_queue_time_seconds_count{{engine="0"}} {queued}
vllm:request_queue_time_seconds_sum{{engine="0"}} {queue_s}
vllm:time_to_first_token_seconds_bucket{{engine="0",le="0.3"}} 4.0
vllm:time_to_first_token_seconds_count{{engine="0"}} {queued}
vllm:time_to_first_token_seconds_sum{{engine="0"}} {first_s}
process_cpu_seconds_total 12.0
"""


def text(
    running: int = 0, used: float = 0.0, preemptions: int = 0, queries: int = 0, queued: int = 0, queue_s: float = 0.0,
    first_s: float = 0.0,
) -> str:  # fmt: skip
    return TEXT.format(**locals())


def test_counters_grow_and_gauges_have_a_peak() -> None:
    texts = [
        text(queries=100, queued=2, queue_s=1.0, first_s=9.0),
        text(running=4, used=0.9, preemptions=3, queries=300, queued=2, queue_s=1.0, first_s=9.0),
        text(preemptions=3, queries=612, queued=6, queue_s=3.0, first_s=10.0),
    ]
    use = server_use(map(reading, texts))
    assert use is not None
    assert (use.readings, use.running, use.waiting, use.kv_cache_use) == (3, 4.0, 0.0, 0.9)
    assert (use.preemptions, use.prefix_queries, use.prefix_hits) == (3.0, 512.0, 0.0)
    assert use.queue_s == pytest.approx(0.5)
    assert (use.first_tokens, use.ttft_s) == (4.0, 0.25)
    assert (use.drafted_tokens, use.output_tokens) == (None, None), "what it does not tell is none, and not 0"


def test_where_a_counter_falls_no_difference_is_known() -> None:
    """Two replicas behind a load balancer, the first twice: each difference would be one of two servers."""
    one, other = text(preemptions=41, queries=900, queued=10, queue_s=9.0), text(used=0.7, queries=1000, queued=90)
    for texts in ([one, other], [one, other, text(preemptions=44, queries=2000, queued=99, queue_s=60.0)]):
        use = server_use(map(reading, texts))
        assert use is not None
        assert (use.preemptions, use.prefix_queries, use.queue_s, use.ttft_s) == (None, None, None, None)
        assert "not one server, or it restarted" in str(use.unknown)
        assert use.kv_cache_use == 0.7
        assert queue_of(use) == {}
    lost = [reading(one), {}]
    assert "not one server" in str(server_use(lost).unknown), "it counts nothing any more"
    whole = server_use([reading(other), reading(other)])
    assert (whole.unknown, whole.preemptions) == (None, 0.0)


def test_of_several_engines_the_fullest_cache_counts() -> None:
    assert reading(text(used=0.1))["vllm:kv_cache_usage_perc"] == 0.25


def test_one_reading_tells_no_growth() -> None:
    assert server_use([reading(text())]) is None


def test_a_page_that_is_none_of_vllms_tells_nothing() -> None:
    assert reading("<html>no</html>") == {}


def test_a_page_that_cannot_be_read_is_a_page_less() -> None:
    """A round was measured meanwhile, and is not lost for it."""
    pages = [text(queries=100).encode(), b"vllm:prefix_cache_queries_total many\n", text(queries=612).encode()]
    use = server_use(readings(pages))
    assert use is not None
    assert (use.readings, use.prefix_queries, use.unknown) == (2, 512.0, None)


def test_a_server_without_the_page_is_measured_without_it() -> None:
    watch = MetricsWatch(Target("http", "127.0.0.1", free_port(), "/metrics"))
    watch.start()
    assert watch.stop() is None


TRICKLES = {
    "headers": b"HTTP/1.1 200 OK\r\nX-Name: ",
    "body": b"HTTP/1.1 200 OK\r\n\r\n",
    "body of a length": b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n",
}


@pytest.mark.parametrize("head", TRICKLES.values(), ids=TRICKLES)
def test_a_page_that_trickles_is_waited_for_no_longer_than_one_that_hangs(head: bytes) -> None:
    with trickling_server(head) as url:
        began_s = time.monotonic()
        assert fetch(target(url, "/metrics"), timeout_s=0.2) is None
        assert 0.2 <= time.monotonic() - began_s < 2.0


def test_a_watch_ends_beside_a_page_that_begins_to_trickle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_metrics, "_PERIOD_S", 0.01)
    monkeypatch.setattr(server_metrics.fetch, "__defaults__", (None, 0.2))
    with trickling_server(TRICKLES["body"]) as url:
        watch = MetricsWatch(target(url, "/metrics"))
        with monkeypatch.context() as first:
            first.setattr(server_metrics, "fetch", lambda *_: text().encode())
            watch.start()
        began_s = time.monotonic()
        watch.stop()
        assert time.monotonic() - began_s < 2.0


@pytest.mark.parametrize("size", [11, 9], ids=["too long", "cut"])
def test_what_is_not_the_whole_page_or_has_no_end_is_none(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """The page says that it holds 10 bytes, or says nothing of its length."""
    length = b"Content-Length: 10\r\n" if size < 10 else b""

    def talk(peer) -> None:
        peer.recv(65536)
        peer.sendall(b"HTTP/1.1 200 OK\r\n%b\r\n%b" % (length, b"#" * size))

    monkeypatch.setattr(server_metrics, "_MOST_BYTES", 10)
    with raw_server(talk) as url:
        assert fetch(target(url, "/metrics")) is None
    monkeypatch.setattr(server_metrics, "_MOST_BYTES", 11)
    if not length:
        with raw_server(talk) as url:
            assert fetch(target(url, "/metrics")) == b"#" * size
