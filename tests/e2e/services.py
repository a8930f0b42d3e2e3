"""A /generate service that runs, and what is asked of it."""

from __future__ import annotations

import contextlib
import json
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flow import ROOT

from tokgate.serving.server import Server, ServerCommand, free_port

# Longer than building the tiny model takes, or starting vLLM.
START_S = 300.0


@dataclass(frozen=True)
class Service:
    server: Server

    def ask(self, prompt: object, **parameters: object) -> dict[str, Any]:
        body = json.dumps({"prompt": prompt, "parameters": parameters}).encode()
        request = urllib.request.Request(f"{self.server.base_url}/generate", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            decoded: dict[str, Any] = json.load(answer)
        return decoded

    def info(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.server.base_url}/info", timeout=60) as answer:
            decoded: dict[str, Any] = json.load(answer)
        return decoded


@contextlib.contextmanager
def serving(folder: Path, *options: str) -> Iterator[Service]:
    port = free_port()
    argv = [
        sys.executable, "-m", "tokgate", "generate-service", "--model=tiny", f"--cache={folder}",
        f"--port={port}", *options,
    ]  # fmt: skip
    with Server(ServerCommand(argv, port, folder / f"service-{port}.log", {"PYTHONPATH": str(ROOT)})) as server:
        server.wait_ready(START_S)
        yield Service(server)


# Unequal lengths and numbers of steps, some alike; the model's words are t0, t1, ...
ASKED = [(f"t{number} t{7 * number} t3" + " t5" * (number % 3), 5 + number % 4) for number in range(12)]


def answers_alone_and_together(service: Service) -> tuple[list[str], list[str], set[int]]:
    def ask(asked: tuple[str, int]) -> dict[str, Any]:
        return service.ask(asked[0], max_steps=asked[1], ignore_eos=True)

    alone = [ask(asked)["response"] for asked in ASKED]
    with ThreadPoolExecutor(len(ASKED)) as pool:
        together = list(pool.map(ask, ASKED))
    return alone, [each["response"] for each in together], {each["batch"] for each in together}
