from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence

import pytest

from tests.unit.serving.runs import failure, run, success
from tokgate.errors import InputError, MeasurementError
from tokgate.serving.endpoint import Model, connect, first_model, target, wait_ready
from tokgate.serving.load import Load, LoadResult
from tokgate.serving.record import Failure, RequestRecord
from tokgate.serving.request import Request, Target
from tokgate.stub.process import StubProcess, running

pytestmark = pytest.mark.unit

REQUEST = Request(b"{}", 1, 1)
NOWHERE = Target("http", "127.0.0.1", 1, "/v1/completions")


@pytest.fixture(scope="module")
def stub() -> Iterator[StubProcess]:
    with running("--served-model-name", "some/model") as server:
        yield server


@pytest.mark.parametrize(
    ("base_url", "path", "url"),
    [
        ("http://localhost:8000/v1", "/completions", "http://localhost:8000/v1/completions"),
        ("http://localhost:8000/v1/", "/completions", "http://localhost:8000/v1/completions"),
        ("https://pod.example.com", "/v1/completions?x=1", "https://pod.example.com:443/v1/completions?x=1"),
        (None, "/v1/completions", "http://127.0.0.1:8000/v1/completions"),
    ],
)
def test_urls_are_put_together_as_vllm_does(base_url: str | None, path: str, url: str) -> None:
    assert target(base_url, "127.0.0.1", 8000, path, ()).url == url


def test_hosts_of_ipv6_need_no_brackets() -> None:
    assert target(None, "::1", 8000, "/v1/completions", ()).host == "::1"


@pytest.mark.parametrize(
    ("base_url", "path"),
    [("localhost:8000", "/c"), ("ftp://host", "/c"), ("http://", "/c"), ("http://h:x", "/c"), ("http://h", "c")],
)
def test_what_is_no_url_is_refused(base_url: str, path: str) -> None:
    with pytest.raises(InputError, match=r"expected http://HOST:PORT/"):
        target(base_url, "", 0, path, ())


@pytest.mark.parametrize(("base", "path"), [("/v1", "/completions"), ("", "/v1/completions")])
def test_the_first_model_is_asked_at_the_root(stub: StubProcess, base: str, path: str) -> None:
    """Where the base URL ends in /v1, vllm bench serve asks at /v1/v1/models."""
    assert first_model(target(f"{stub.url}{base}", "", 0, path, ())) == Model("some/model", "some/model")


@pytest.mark.parametrize(
    ("path", "page"),
    [
        ("/v1/completions", "/metrics"),
        ("/completions?x=/v1/", "/metrics"),
        ("/prefix/v1/chat/completions?x=1", "/prefix/metrics"),
        ("/prefix/v1/here/v1/completions", "/prefix/v1/here/metrics"),
        ("/generate", "/metrics"),
        ("/prefix/generate", "/prefix/metrics"),
    ],
)
def test_other_pages_stand_below_the_same_prefix(path: str, page: str) -> None:
    headers = (("Authorization", "Bearer key"),)
    endpoint = target("https://host", "", 0, path, headers)
    assert endpoint.beside("/metrics") == Target("https", "host", 443, page, headers)


def test_a_server_that_lists_no_models_is_told(stub: StubProcess) -> None:
    with pytest.raises(MeasurementError, match=r"HTTP 404; start the server, or name its model with --model"):
        first_model(target(f"{stub.url}/x/v1", "", 0, "/completions", ()))


def test_nobody_there_is_told_at_once_or_after_the_time_given() -> None:
    waited: list[float] = []
    with pytest.raises(MeasurementError, match=r"no server at 127.0.0.1:1 \(.*--ready-check-timeout-sec 600"):
        connect(NOWHERE, 0, waited.append)
    assert not waited
    with pytest.raises(MeasurementError, match=r"no server at 127\.0\.0\.1:1 after 1\.5 s"):
        connect(NOWHERE, 1.5, waited.append)
    assert waited


def test_a_server_that_comes_is_waited_for() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        late = Target("http", "127.0.0.1", server.getsockname()[1], "/")
        connect(late, 60.0, sleep=lambda _: server.listen())


class Client:
    """Answers with one record after another."""

    def __init__(self, *records: RequestRecord) -> None:
        self.loads: list[Load] = []
        self._records = iter(records)

    def __call__(self, load: Load) -> LoadResult:
        self.loads.append(load)
        return run(next(self._records))


def ready(timeout_s: float, records: Sequence[RequestRecord]) -> Client:
    client = Client(*records)
    wait_ready(NOWHERE, REQUEST, timeout_s, client, sleep=lambda _: None)
    return client


def test_the_first_request_is_sent_until_it_succeeds() -> None:
    client = ready(60.0, [failure(0, Failure.HTTP_5XX), failure(0, Failure.RESET), success(0, 0.0, 0.1)])
    assert len(client.loads) == 3
    assert all(load.requests == [REQUEST] and load.timeout_s <= 60 for load in client.loads)


def test_a_request_that_the_server_refuses_is_not_sent_again() -> None:
    with pytest.raises(
        MeasurementError, match=r"a first request failed: HTTP 4xx: no such model; see the server's log"
    ):
        ready(60.0, [failure(0, Failure.HTTP_4XX, "no such model")])


def test_after_the_time_given_the_last_answer_is_told() -> None:
    with pytest.raises(MeasurementError, match=r"not ready after 0.5 s; the last answer: HTTP 5xx: loading"):
        ready(0.5, [failure(0, Failure.HTTP_5XX, "loading")])


def test_an_interrupt_ends_the_wait() -> None:
    with pytest.raises(KeyboardInterrupt):
        ready(60.0, [failure(0, Failure.CANCELLED)])
