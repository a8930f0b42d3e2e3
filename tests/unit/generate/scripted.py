"""A /generate service on a real socket, over an engine that can be held."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tokgate.engines import Generation
from tokgate.engines.decoding import Decoding, cut
from tokgate.generate.server import GenerateServer
from tokgate.generate.service import Loaded
from tokgate.generate.settings import Limits, ServiceSettings
from tokgate.generate.textmodel import TextModel
from tokgate.serving.server import free_port

VOCAB_SIZE = 100
LIMITS = Limits(context_len=40, prompt_tokens=20, steps=30, body_bytes=2000)
# Enough for a loaded machine; a test that waits this long has failed.
PATIENCE_S = 20.0


class Engine:
    """Continues 5 6 7 by 8 9 10. Each call waits for `go`; `calls` are the prompts of each, `fails` of the next."""

    def __init__(self, held: bool = False) -> None:
        self.go = threading.Semaphore(0 if held else 10**6)
        self.calls: list[list[list[int]]] = []
        self.decodings: list[Decoding | None] = []
        self.fails = False
        self.called = threading.Condition()

    def generate(self, prompts: NDArray[np.int64], output_len: int, decoding: Decoding | None = None) -> Generation:
        with self.called:
            self.calls.append(prompts.tolist())
            self.decodings.append(decoding)
            self.called.notify_all()
        assert self.go.acquire(timeout=PATIENCE_S), "nobody let the engine go"
        if self.fails:
            self.fails = False
            raise RuntimeError("out of memory")
        tokens = (prompts[:, -1:] + 1 + np.arange(output_len)) % VOCAB_SIZE
        return Generation(tokens if decoding is None else cut(tokens, decoding.stop_ids), 0.1, 0.2)

    def await_calls(self, count: int) -> None:
        with self.called:
            assert self.called.wait_for(lambda: len(self.calls) >= count, PATIENCE_S), self.calls


class Codec:
    """Words are numbers."""

    def __init__(self, *stop_ids: int) -> None:
        self.stop_ids = stop_ids

    def encode(self, text: str) -> list[int]:
        return [int(word) for word in text.split()]

    def decode(self, ids: list[int]) -> str:
        return " ".join(map(str, ids))


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)


@dataclass
class Running:
    server: GenerateServer
    engine: Engine
    port: int
    thread: threading.Thread
    ready: threading.Event
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(16))

    def ask(self, prompt: Any, **parameters: Any) -> Reply:
        body = {"prompt": prompt, "parameters": parameters} if parameters else {"prompt": prompt}
        return self.send("POST", "/generate", json.dumps(body).encode())

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        with contextlib.closing(connection):
            connection.request(method, path, body, {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())

    def start(self, prompt: Any, **parameters: Any) -> Future[Reply]:
        """Asks from another thread."""
        return self.pool.submit(self.ask, prompt, **parameters)

    def metric(self, name: str) -> float:
        lines = self.send("GET", "/metrics").content.decode().splitlines()
        (value,) = (line.split()[-1] for line in lines if line.startswith(f"{name} "))
        return float(value)

    def await_metric(self, name: str, value: float) -> None:
        await_that(lambda: self.metric(name) == value, f"{name} {value}")


def await_that(condition: Callable[[], bool], what: str) -> None:
    """Asks again and again; each time costs a request, so this does not spin."""
    tries = 0
    while not condition():
        tries += 1
        threading.Event().wait(0.01)
        assert tries < PATIENCE_S / 0.01, f"never: {what}"


@contextlib.contextmanager
def running(
    engine: Engine | None = None,
    codec: Codec | None = None,
    load: Callable[[], Loaded] | None = None,
    ready: bool = True,
    **settings: Any,
) -> Iterator[Running]:
    """Ends with the block; whatever still holds the engine is let go."""
    engine = engine or Engine()
    model = TextModel(engine, codec or Codec(), draw_seed=lambda: 7)
    port = free_port()
    found = ServiceSettings("scripted", "", "", LIMITS, port=port, **{"grace_s": PATIENCE_S, **settings})
    told_ready = threading.Event()
    loads = load or (lambda: Loaded(model, {"model": "scripted"}))
    server = GenerateServer(found, loads, VOCAB_SIZE, told_ready.set)
    thread = threading.Thread(target=server.run)
    thread.start()
    service = Running(server, engine, port, thread, told_ready)
    try:
        await_that(lambda: server.started, "started")
        if ready:
            await_that(lambda: service.send("GET", "/health").status == 200, "ready")
        yield service
    finally:
        engine.go.release(10**6)
        server.handle_exit(15, None)
        thread.join(PATIENCE_S)
        service.pool.shutdown()
        assert not thread.is_alive()
