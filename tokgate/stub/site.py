"""What the server holds beside its connections: the truth, the player, and its pages."""

from __future__ import annotations

import json
import os
import time
import uuid
from asyncio import AbstractEventLoop
from dataclasses import asdict
from urllib.parse import parse_qs

from tokgate import __version__
from tokgate.stub import asked, wire
from tokgate.stub.asked import RefusedError
from tokgate.stub.inbox import Inbox
from tokgate.stub.messages import Messages
from tokgate.stub.player import Player
from tokgate.stub.script import Script, refusal, write_script
from tokgate.stub.settings import Settings
from tokgate.stub.truth import Record, Truth


class Site:
    """One for all connections."""

    def __init__(self, settings: Settings, loop: AbstractEventLoop) -> None:
        self.settings = settings
        self.inbox = Inbox(loop)
        self.player = Player(loop, settings.max_running)
        self.truth = Truth(time.process_time())

    def script(self, record: Record, body: bytes, is_chat: bool) -> Script:
        """What is to be answered to a request for tokens."""
        settings = self.settings
        try:
            wanted = asked.read(body, is_chat, settings.served_model_name, settings.default_model)
        except RefusedError as error:
            return refusal(str(error), error.status)
        record.asked = wanted
        name = f"{'chatcmpl' if is_chat else 'cmpl'}-{uuid.uuid4().hex}"
        texts = Messages(wanted, name, int(time.time()), settings.word)
        fault = settings.faults.of(record.number)
        script = write_script(record.number, texts, settings.pace, fault, settings.merge)
        record.fault = script.fault
        return script

    def page(self, method: bytes, path: bytes, query: bytes) -> bytes:
        """A response to whatever asks for no tokens."""
        if method == b"POST" and path == b"/reset":
            self.truth = Truth(time.process_time())
            return wire.response(b"{}")
        if method not in (b"GET", b"HEAD"):
            return _not_there(405)
        if path == b"/health":
            return wire.response(b"")
        if path == b"/version":
            return _json({"version": __version__})
        if path == b"/v1/models":
            name = self.settings.served_model_name or self.settings.default_model
            return _json({"object": "list", "data": [{"id": name, "object": "model", "owned_by": "tokgate"}]})
        if path == b"/metrics":
            return wire.response(self._metrics().encode(), content_type="text/plain; version=0.0.4; charset=utf-8")
        if path == b"/truth":
            return _json(self._told(full=parse_qs(query).get(b"full") == [b"1"]))
        return _not_there(404)

    def _told(self, full: bool) -> object:
        return {
            "clock": "time.perf_counter(), seconds",
            "now_s": time.perf_counter(),
            "pid": os.getpid(),
            "cpus": sorted(os.sched_getaffinity(0)),
            "settings": asdict(self.settings),
            "summary": self.truth.summary(time.process_time()),
            "requests": [record.as_json(full) for record in self.truth.records],
        }

    def _metrics(self) -> str:
        """In the form and by the names of vLLM, for what scrapes them."""
        name = self.settings.served_model_name or self.settings.default_model
        rows = (
            ("vllm:num_requests_running", "gauge", self.player.running),
            ("vllm:num_requests_waiting", "gauge", self.player.waiting),
            ("vllm:generation_tokens_total", "counter", self.player.tokens),
        )
        return "".join(
            f'# HELP {metric} As in vLLM.\n# TYPE {metric} {kind}\n{metric}{{engine="0",model_name="{name}"}} {value}\n'
            for metric, kind, value in rows
        )


def _json(value: object) -> bytes:
    return wire.response(json.dumps(value).encode())


def _not_there(status: int) -> bytes:
    return wire.response(b'{"detail":"Not Found"}' if status == 404 else b'{"detail":"Method Not Allowed"}', status)
