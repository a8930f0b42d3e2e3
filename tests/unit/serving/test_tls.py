from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from dataclasses import replace

import pytest

from serving.loads import load, raw_server, read_request, request, target
from serving.streams import RESPONSE
from tokgate.serving.client import run_load
from tokgate.serving.record import Failure
from tokgate.serving.users.connection import UserConnection

pytestmark = pytest.mark.unit


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


def test_a_user_of_locusts_asks_over_tls(server, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[1]))
    asked = replace(request(), prompt_len=5)
    user = UserConnection(target(server), "completions", timeout_s=30)
    assert [user.ask(asked).fault for _ in range(2)] == [None, None]
    user.close()
    monkeypatch.delenv("SSL_CERT_FILE")
    fault = UserConnection(target(server), "completions", timeout_s=30).ask(asked).fault
    assert fault is not None
    assert "CERTIFICATE_VERIFY_FAILED" in fault.detail


def test_a_certificate_that_nobody_vouches_for_is_refused(server, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    record = run_load(load(server, 1)).records[0]
    assert record.failure is Failure.REFUSED
    assert "CERTIFICATE_VERIFY_FAILED" in record.detail
