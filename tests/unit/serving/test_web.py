"""What a server is asked beside the load goes the load's own way."""

from __future__ import annotations

import urllib.error
from pathlib import Path

import pytest

import tokgate
from serving.loads import raw_server, target
from tokgate.serving import calibrate
from tokgate.serving.generate_server import ServedText
from tokgate.serving.remote import RemoteOptions, find_remote
from tokgate.serving.request import Target
from tokgate.serving.served_model import ServedModel
from tokgate.serving.server import free_port
from tokgate.serving.server_metrics import fetch
from tokgate.serving.web import opened
from tokgate.stub.process import running

pytestmark = pytest.mark.unit


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a company's host: a proxy for everything, the loopback too, which nobody answers at."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("proxied")
def test_no_proxy_stands_between() -> None:
    with running("--served-model-name", "m") as stub:
        assert find_remote(RemoteOptions(stub.url), {}).model == "m"
        assert fetch(target(stub.url, "/v1/models")) is not None
        calibrate.forget(stub.url)
        assert calibrate.truth(stub.url)
        answer = ServedModel(target(stub.url), "m")._asked({"prompt": "a", "max_tokens": 1})
        assert len(answer["choices"]) == 1
        # The stub has no such page, and it is the stub that says so.
        with pytest.raises(urllib.error.HTTPError):
            ServedText(target(stub.url), {})


def test_there_is_no_other_way() -> None:
    root = Path(tokgate.__file__).parent
    assert [path for path in root.rglob("*.py") if "urlopen(" in path.read_text("utf-8")] == []


def test_a_redirection_is_not_followed_with_the_key() -> None:
    def talk(peer) -> None:
        peer.recv(65536)
        peer.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n")

    with raw_server(talk) as url, pytest.raises(urllib.error.HTTPError, match="302"):
        opened(url, 5.0, headers={"Authorization": "Bearer key"})


def test_an_address_of_ipv6_stands_in_brackets() -> None:
    assert Target("http", "::1", 8000, "/v1").url == "http://[::1]:8000/v1"
