"""What the stub server says to a request that it does not serve, over real sockets."""

from __future__ import annotations

import pytest

from tests.unit.stub.wires import Wire, request, talk
from tokgate.stub.schedule import Pace

pytestmark = pytest.mark.unit


def test_a_model_that_is_not_served_is_refused():
    async def scene(wire: Wire):
        return await wire.ask(model="other"), await wire.ask(model="m"), await wire.get("/v1/models")

    other, served, models = talk(scene, served_model_name="m")
    assert (other.status, other.json["error"]["type"]) == (404, "NotFoundError")
    assert served.status == 200
    assert [model["id"] for model in models.json["data"]] == ["m"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health", 200),
        ("GET", "/version", 200),
        ("GET", "/nowhere", 404),
        ("GET", "/v1/completions", 404),
        ("POST", "/health", 405),
    ],
)
def test_pages(method, path, status):
    async def scene(wire: Wire):
        return (await wire.get(path, method)).status

    assert talk(scene) == status


def test_what_is_no_http_is_told_so():
    async def scene(wire: Wire):
        return await wire.send(b"\x16\x03\x01 hello\r\n\r\n"), (await wire.ask()).status

    reply, next_status = talk(scene)
    assert (reply.status, next_status) == (400, 200)


def test_a_second_request_before_the_answer_has_come_is_cut_off():
    async def scene(wire: Wire):
        body = request("POST", "/v1/completions", b'{"prompt": "a", "stream": true}', close=False)
        reply = await wire.send(body + body)
        return reply, await wire.truth()

    reply, told = talk(scene, pace=Pace(ttft_s=1000.0))
    assert reply.raw.count(b"HTTP/1.1") <= 1
    assert told["summary"]["open"] == 0
