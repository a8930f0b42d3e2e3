"""What a server tells of itself at /metrics while it is measured: read once a second, understood when that is over.

A thread fetches the text, which is little work for this process; parsing waits, since it would hold up the client.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, TimeoutError
from dataclasses import dataclass
from itertools import pairwise

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tokgate.serving.request import Target
from tokgate.serving.web import Web

_PERIOD_S = 1.0
_ANSWER_S = 5.0
# A page of vLLM's has some 100 KB an engine.
_MOST_BYTES = 1 << 24
_PIECE_BYTES = 1 << 16
# vLLM's names, 0.19 to 0.32; a counter's sample ends in _total.
_KV_CACHE = "vllm:kv_cache_usage_perc"
_RUNNING = "vllm:num_requests_running"
_WAITING = "vllm:num_requests_waiting"
DRAFTED_TOKENS = "vllm:spec_decode_num_draft_tokens_total"
ACCEPTED_TOKENS = "vllm:spec_decode_num_accepted_tokens_total"
_COUNTERS = {
    "preemptions": "vllm:num_preemptions_total",
    "prefix_queries": "vllm:prefix_cache_queries_total",
    "prefix_hits": "vllm:prefix_cache_hits_total",
    "drafted_tokens": DRAFTED_TOKENS,
    "accepted_tokens": ACCEPTED_TOKENS,
    "prompt_tokens": "vllm:prompt_tokens_total",
    "output_tokens": "vllm:generation_tokens_total",
    "queue_s": "vllm:request_queue_time_seconds_sum",
    "queued": "vllm:request_queue_time_seconds_count",
    "first_s": "vllm:time_to_first_token_seconds_sum",
    "first_tokens": "vllm:time_to_first_token_seconds_count",
}
_NAMES = (_KV_CACHE, _RUNNING, _WAITING, *_COUNTERS.values())

_FELL = "a counter fell from one reading to the next: not one server, or it restarted"

Reading = Mapping[str, float]


@dataclass(frozen=True)
class ServerUse:
    """One load, as the server saw it. None is what it does not tell.

    `kv_cache_use`: the most of its KV cache that was in use at once, 0 to 1. `running`, `waiting`: the most requests.
    Prefix queries and hits are tokens. `queue_s`: the mean time that a request waited in the server; `ttft_s`: from
    when it came to its first token, the mean of the `first_tokens` requests that got one. `unknown`: why none of what
    is counted is told.
    """

    readings: int
    kv_cache_use: float | None
    running: float | None
    waiting: float | None
    preemptions: float | None
    prefix_queries: float | None
    prefix_hits: float | None
    drafted_tokens: float | None
    accepted_tokens: float | None
    prompt_tokens: float | None
    output_tokens: float | None
    queue_s: float | None
    first_tokens: float | None
    ttft_s: float | None
    unknown: str | None = None


class MetricsWatch:
    """Reads a server's /metrics from start() to stop(), at both ends and once a second between."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._web = Web(target.scheme)

    def start(self) -> None:
        self._texts: list[bytes] = []
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        if self._fetch():
            self._thread = threading.Thread(target=self._fetch_until_ended, name="server-metrics", daemon=True)
            self._thread.start()

    def stop(self) -> ServerUse | None:
        """None where the server has no such page."""
        if self._thread is None:
            return None
        self._ended.set()
        self._thread.join()
        self._fetch()
        return server_use(readings(self._texts))

    def _fetch_until_ended(self) -> None:
        while not self._ended.wait(_PERIOD_S):
            self._fetch()

    def _fetch(self) -> bool:
        text = fetch(self._target, self._web)
        if text is not None:
            self._texts.append(text)
        return text is not None


def fetch(target: Target, web: Web | None = None, timeout_s: float = _ANSWER_S) -> bytes | None:
    """The text of a page; None where there is none, or not the whole of it within `timeout_s`.

    It is asked for by a thread, which is waited for and then left: no timeout of a socket bounds looking up a name, or
    headers that come byte by byte.
    """
    found: Future[bytes | None] = Future()

    def ask() -> None:
        try:
            found.set_result(_page(target, web, timeout_s))
        except BaseException as error:  # raised again where it is waited for
            found.set_exception(error)

    threading.Thread(target=ask, name="server-page", daemon=True).start()
    try:
        return found.result(timeout_s)
    except TimeoutError:
        return None


def _page(target: Target, web: Web | None, timeout_s: float) -> bytes | None:
    """Gives up by itself where the body trickles, or has no end."""
    deadline_s = time.monotonic() + timeout_s
    request = urllib.request.Request(target.url, headers=dict(target.headers))
    text = bytearray()
    try:
        with (web or Web(target.scheme)).open(request, timeout_s) as answer:
            while piece := answer.read1(_PIECE_BYTES):
                text += piece
                if time.monotonic() > deadline_s or len(text) > _MOST_BYTES:
                    return None
            # What a connection that broke leaves out, read1 does not tell.
            return bytes(text) if answer.status == 200 and not answer.length else None
    except (OSError, http.client.HTTPException):
        return None


def samples(text: str, names: tuple[str, ...]) -> Iterator[Sample]:
    """Those of a /metrics page that have these names. Raises ValueError where such a line is none of Prometheus'."""
    lines = [line for line in text.splitlines() if line.startswith(names)]
    for family in text_string_to_metric_families("\n".join([*lines, ""])):
        yield from (sample for sample in family.samples if sample.name in names)


def reading(text: str) -> Reading:
    """The figures of interest by name; of several engines the fullest cache, and of all else the sum.

    Raises ValueError for a page that is none of Prometheus'.
    """
    found: dict[str, float] = {}
    for sample in samples(text, _NAMES):
        value = float(sample.value)
        before = found.get(sample.name, 0.0)
        found[sample.name] = max(before, value) if sample.name == _KV_CACHE else before + value
    return found


def readings(pages: Iterable[bytes]) -> list[Reading]:
    """Of the pages that can be read: of a measured round no garbled page takes more than itself."""
    found = []
    for page in pages:
        with contextlib.suppress(ValueError):
            found.append(reading(page.decode("utf-8", "replace")))
    return found


def server_use(readings: Iterable[Reading]) -> ServerUse | None:
    """What happened between the first reading and the last; None without two of them.

    A counter only grows: where one falls, another server answered, as behind a load balancer, and no difference is one.
    """
    series = list(readings)
    if len(series) < 2:
        return None
    unknown = _FELL if any(_falls(before, now) for before, now in pairwise(series)) else None
    counted = {name: None if unknown else _grown(series, metric) for name, metric in _COUNTERS.items()}
    queued, queue_s, first_s = (counted.pop(name) for name in ("queued", "queue_s", "first_s"))
    first_tokens = counted["first_tokens"]
    return ServerUse(
        readings=len(series),
        kv_cache_use=_most(series, _KV_CACHE),
        running=_most(series, _RUNNING),
        waiting=_most(series, _WAITING),
        queue_s=_mean(queue_s, queued),
        ttft_s=_mean(first_s, first_tokens),
        unknown=unknown,
        **counted,
    )


def _falls(before: Reading, now: Reading) -> bool:
    return any(now.get(name, 0.0) < before.get(name, 0.0) for name in _COUNTERS.values())


def _grown(series: list[Reading], name: str) -> float | None:
    if name not in series[0] or name not in series[-1]:
        return None
    return series[-1][name] - series[0][name]


def _mean(total: float | None, count: float | None) -> float | None:
    return total / count if count and total is not None else None


def _most(series: list[Reading], name: str) -> float | None:
    return max((values[name] for values in series if name in values), default=None)
