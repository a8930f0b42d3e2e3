"""What a server's speculation did over a load, by vLLM's counters and formulas."""

from __future__ import annotations

import time

import pytest

from serving.loads import raw_server, target, trickling_server
from tokgate.serving import server_metrics, speculation
from tokgate.serving.request import Target
from tokgate.serving.speculation import Speculation, SpeculationWatch, between, counts
from tokgate.serving.web import Web
from tokgate.stub.process import running

pytestmark = pytest.mark.unit

# As vLLM 0.32 writes it, cut: an engine that drafts two tokens at a time.
ENGINE = """\
# HELP vllm:spec_decode_num_drafts_total Number of spec decoding drafts.
# TYPE vllm:spec_decode_num_drafts_total counter
vllm:spec_decode_num_drafts_total{{engine="{engine}",model_name="m"}} {drafts}
vllm:spec_decode_num_drafts_created{{engine="{engine}",model_name="m"}} 1.7953698570347946e+09
vllm:spec_decode_num_draft_tokens_total{{engine="{engine}",model_name="m"}} {drafted}
vllm:spec_decode_num_accepted_tokens_total{{engine="{engine}",model_name="m"}} {accepted}
vllm:spec_decode_num_accepted_tokens_created{{engine="{engine}",model_name="m"}} 1.7953698570348547e+09
vllm:spec_decode_num_accepted_tokens_per_pos_total{{engine="{engine}",model_name="m",position="0"}} {first}
vllm:spec_decode_num_accepted_tokens_per_pos_total{{engine="{engine}",model_name="m",position="10"}} {last}
vllm:spec_decode_num_accepted_tokens_per_pos_created{{engine="{engine}",position="0"}} 1.7953698570348802e+09
vllm:num_requests_running{{engine="{engine}",model_name="m"}} 0.0
"""


def page(drafts: float = 0, drafted: float = 0, first: float = 0, last: float = 0, engine: int = 0) -> str:
    return ENGINE.format(drafts=drafts, drafted=drafted, accepted=first + last, first=first, last=last, engine=engine)


BEFORE = page(drafts=100, drafted=200, first=90, last=10)
AFTER = page(drafts=140, drafted=280, first=110, last=20)
FOUND = Speculation(drafts=40, draft_tokens=80, accepted_tokens=30, accepted_at=(20, 10))


def test_what_happened_between_two_readings_is_told_by_vllms_keys_and_formulas() -> None:
    assert between(counts(BEFORE), counts(AFTER)) == FOUND
    assert FOUND.as_json() == {
        "spec_decode_acceptance_rate": 37.5,
        "spec_decode_acceptance_length": 1.75,
        "spec_decode_num_drafts": 40,
        "spec_decode_draft_tokens": 80,
        "spec_decode_accepted_tokens": 30,
        "spec_decode_per_position_acceptance_rates": [0.5, 0.25],
    }


def test_engines_are_added_up() -> None:
    two = between(counts(BEFORE + page(engine=1)), counts(AFTER + page(40, 80, 20, 10, engine=1)))
    assert two == Speculation(drafts=80, draft_tokens=160, accepted_tokens=60, accepted_at=(40, 20))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(BEFORE, BEFORE, id="nothing proposed"),
        pytest.param(AFTER, BEFORE, id="restarted"),
        pytest.param(BEFORE, page(drafts=140, drafted=280, first=80, last=20), id="another server"),
        pytest.param(BEFORE, "", id="no page any more"),
        pytest.param("", AFTER.replace("spec_decode", "other"), id="no such counters"),
        pytest.param(BEFORE, page(drafts=float("nan"), drafted=280), id="no number"),
        pytest.param(BEFORE, AFTER.replace("} 280", "} many"), id="no text of Prometheus"),
    ],
)
def test_where_nothing_was_proposed_or_the_counters_are_not_of_one_server_nothing_is_told(
    before: str, after: str
) -> None:
    assert between(counts(before), counts(after)) is None


def test_a_server_is_read_before_and_after() -> None:
    pages = [BEFORE, AFTER]

    def talk(peer) -> None:
        assert peer.recv(65536).startswith(b"GET /metrics ")
        body = pages.pop(0).encode()
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    with raw_server(talk) as url:
        watch = SpeculationWatch(target(url, "/metrics"))
        watch.start()
        assert watch.stop() == FOUND


def test_a_server_without_such_counters_or_without_the_page_is_asked_once() -> None:
    asked = []

    def talk(peer) -> None:
        asked.append(peer.recv(65536))
        peer.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    with raw_server(talk) as url, running() as stub:
        for base in (url, stub.url, "http://127.0.0.1:1"):
            watch = SpeculationWatch(target(base, "/metrics"))
            watch.start()
            assert watch.stop() is None
    assert len(asked) == 1


def test_a_page_that_hangs_costs_a_moment_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speculation, "_ANSWER_S", 0.3)
    with raw_server(lambda peer: peer.recv(65536) and peer.recv(1)) as url:
        watch = SpeculationWatch(target(url, "/metrics"))
        began_s = time.monotonic()
        watch.start()
        assert watch.stop() is None
        assert 0.3 <= time.monotonic() - began_s < 3.0


def test_a_page_that_trickles_costs_a_moment_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read inside the client's event loop, which hears no Ctrl-C meanwhile."""
    monkeypatch.setattr(speculation, "_ANSWER_S", 0.2)
    with trickling_server(b"HTTP/1.1 200 OK\r\n\r\n") as url:
        watch = SpeculationWatch(target(url, "/metrics"))
        began_s = time.monotonic()
        watch.start()
        assert watch.stop() is None
        assert 0.2 <= time.monotonic() - began_s < 2.0


def test_certificates_are_read_before_the_load_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    class Counted(Web):
        def __init__(self, scheme: str) -> None:
            made.append(scheme)
            super().__init__(scheme)

    for module in (speculation, server_metrics):
        monkeypatch.setattr(module, "Web", Counted, raising=False)
    watch = SpeculationWatch(Target("https", "127.0.0.1", 1, "/metrics"))
    assert made == ["https"]
    watch.start()
    watch.stop()
    assert made == ["https"]
