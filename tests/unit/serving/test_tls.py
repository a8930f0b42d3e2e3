from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from serving.loads import load, raw_server, read_request, target
from serving.streams import RESPONSE
from tokgate.serving.client import run_load
from tokgate.serving.record import Failure
from tokgate.serving.server_metrics import fetch

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl here to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    return key, certificate


@pytest.fixture
def server(certificate):
    key, chain = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)

    def talk(peer: socket.socket) -> None:
        with context.wrap_socket(peer, server_side=True) as secure:
            while read_request(secure):
                secure.sendall(RESPONSE.replace(b'"completion_tokens":4', b'"completion_tokens":8'))

    with raw_server(talk) as url:
        yield url.replace("http:", "https:")


def test_requests_go_over_tls(server, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[1]))
    result = run_load(load(server, 5, max_concurrency=1))
    assert [record.failure for record in result.records] == [None] * 5


def test_what_is_asked_beside_the_load_trusts_whom_the_load_trusts(certificate, monkeypatch):
    key, chain = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)

    def talk(peer: socket.socket) -> None:
        with context.wrap_socket(peer, server_side=True) as secure:
            secure.recv(65536)
            secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntold")

    with raw_server(talk) as url:
        page = target(url.replace("http:", "https:"), "/metrics")
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
        assert fetch(page) is None
        monkeypatch.setenv("SSL_CERT_FILE", str(chain))
        assert fetch(page) == b"told"


# gevent stays out of this process.
USER = """
import sys
from dataclasses import replace
from serving.loads import request, target
from tokgate.serving.users.connection import UserConnection
user = UserConnection(target(sys.argv[1]), "completions", timeout_s=30)
faults = [user.ask(replace(request(), prompt_len=5)).fault for _ in range(2)]
user.close()
print(*faults)
"""


def asked_by_a_user(url: str, **trusted: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "SSL_CERT_FILE"}
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "unit"), environment.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", USER, url]
    return subprocess.run(
        command, env={**environment, "PYTHONPATH": path, **trusted}, capture_output=True, text=True, check=True
    ).stdout


def test_a_user_of_locusts_asks_over_tls_whom_he_trusts(server, certificate):
    assert asked_by_a_user(server, SSL_CERT_FILE=str(certificate[1])) == "None None\n"
    assert "CERTIFICATE_VERIFY_FAILED" in asked_by_a_user(server)


def test_a_certificate_that_nobody_vouches_for_is_refused(server, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    record = run_load(load(server, 1)).records[0]
    assert record.failure is Failure.REFUSED
    assert "CERTIFICATE_VERIFY_FAILED" in record.detail
