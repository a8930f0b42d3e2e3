from __future__ import annotations

import pytest

from tokgate.errors import InputError
from tokgate.serving.request import Request, Target
from tokgate.serving.wire import request_bytes, request_head

pytestmark = pytest.mark.unit

TARGET = Target("https", "api.example.com", 443, "/v1/completions")


def head(**changes):
    return request_head(Target(**{**TARGET.__dict__, **changes}), stream=True).decode("latin-1").split("\r\n")


def test_the_port_is_left_out_where_it_is_the_scheme_s_own():
    assert head()[1] == "Host: api.example.com"
    assert head(port=8443)[1] == "Host: api.example.com:8443"
    assert head(scheme="http", port=80)[1] == "Host: api.example.com"
    assert head(scheme="http")[1] == "Host: api.example.com:443"


def test_an_ipv6_address_is_in_brackets():
    assert head(host="::1", port=8000)[1] == "Host: [::1]:8000"


def test_given_headers_are_sent_as_they_are_in_place_of_ours():
    lines = head(headers=(("content-type", "application/x"), ("X-Id", "ü")))
    assert lines[-2:] == ["content-type: application/x", "X-Id: ü"]
    assert sum(line.lower().startswith("content-type") for line in lines) == 1


def test_the_length_of_the_body_comes_last():
    sent = request_bytes(b"POST / HTTP/1.1", Request("{ü}".encode(), 1, 1))
    assert sent == b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\n{\xc3\xbc}"


def test_a_given_host_replaces_ours_for_a_server_behind_a_forwarded_port():
    lines = head(host="127.0.0.1", port=8080, headers=(("host", "llm.example.com"),))
    assert [line for line in lines if line.lower().startswith("host:")] == ["host: llm.example.com"]


def test_no_packing_is_asked_for():
    assert "Accept-Encoding: identity" in head()


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"headers": (("X-A", "1\r\nX-B: 2"),)}, "header X-A: its value has a line break"),
        ({"headers": (("X A", "1"),)}, "header 'X A'"),
        ({"headers": (("Content-Length", "1"),)}, "the client sets it itself"),
        ({"headers": (("Accept-Encoding", "gzip"),)}, "the client sets it itself"),
        ({"headers": (("X", "世"),)}, "beyond Latin-1"),
        ({"path": "v1"}, "expected a slash"),
        ({"path": "/v1 HTTP/1.1\r\nX: 1"}, "blanks percent-encoded"),
        ({"path": "/ü"}, "printable ASCII"),
    ],
)
def test_what_cannot_be_sent_is_refused(changes, complaint):
    with pytest.raises(InputError, match=complaint):
        head(**changes)
