"""The process that serves: `python -m tokgate.generate.server SETTINGS`, SETTINGS being ServiceSettings as JSON.

SIGTERM ends it in order: no new requests, 503 to those that wait, the one being generated is answered, if it ends
within the grace. Exit status 0 then; 1 where the model could not be loaded, or the engine did not end; 2 where the
port is not to be had.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

import uvicorn

from tokgate import accuracy, engines
from tokgate.errors import InputError
from tokgate.generate.app import create_app
from tokgate.generate.codec import Codec
from tokgate.generate.service import Loaded, Service
from tokgate.generate.settings import ServiceSettings
from tokgate.generate.textmodel import TextModel
from tokgate.listening import BACKLOG, listening, url_of
from tokgate.machine import processes
from tokgate.machine.files import REAL_ROOT

# Longer than users think: a connection that ends while a request is on its way is a failure nobody caused.
_KEEP_ALIVE_S = 75


class GenerateServer(uvicorn.Server):
    """uvicorn with a service. `load` makes the engine, see Service; `fault`: why it did not.

    `on_ready` is called once it did.
    """

    def __init__(
        self, settings: ServiceSettings, load: Callable[[], Loaded], vocab_size: int, on_ready: Callable[[], None]
    ) -> None:
        self.service = Service(settings, load, self._failed, on_ready)
        self.fault = ""
        config = uvicorn.Config(
            create_app(self.service, vocab_size),
            host=settings.host,
            port=settings.port,
            log_level="warning",
            access_log=False,
            backlog=BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=max(1, round(settings.grace_s)),
        )
        super().__init__(config)

    def _failed(self, error: BaseException) -> None:
        self.fault = f"{type(error).__name__}: {error}"
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Lets the service know at once: uvicorn itself first waits for the requests that are open.

        And does not raise the signal again when all is done, as uvicorn's own: an end in order has status 0.
        """
        self.service.close_soon()
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def load(settings: ServiceSettings) -> Loaded:
    """The engine with its tokenizer, warm, and held against the FP32 reference where the model has one."""
    codec = Codec(Path(settings.tokenizer_dir))
    engine = engines.load(settings.engine, settings.model_dir, settings.threads, dict(settings.settings))
    model = TextModel(engine, codec)
    found: dict[str, Any] | None = None
    if (Path(settings.model_dir) / accuracy.FILE_NAME).exists():
        reference = accuracy.Reference.load(Path(settings.model_dir))
        found = asdict(
            accuracy.compare(reference.logits, engine.forced_logits(reference.prompts, reference.continuation))
        )
    info = {
        "model": settings.model,
        "engine": engine.describe(),
        "accuracy": found,
        "batch": settings.batch,
        "queue": settings.queue,
        "limits": asdict(settings.limits),
    }
    return Loaded(model, info)


def serve(settings: ServiceSettings, told: TextIO | None = None) -> int:
    """Serves until it is told to end; the exit status. Its URL goes to `told` (None: stdout) once it is ready."""
    try:
        listener = listening(settings.host, settings.port)
    except InputError as error:
        # uvicorn would exit with 3, which says that there is nothing to compare with.
        print(f"tokgate: {error}", file=sys.stderr)
        return error.exit_status
    url = url_of(listener)

    def announce() -> None:
        print(url, file=told, flush=True)
        print(f"tokgate: {settings.model} answers POST {url}/generate; Ctrl-C ends it", file=sys.stderr, flush=True)

    server = GenerateServer(settings, lambda: load(settings), _vocab_size(Path(settings.model_dir)), announce)
    with listener, contextlib.suppress(KeyboardInterrupt):
        server.run([listener])
    if server.fault:
        print(f"tokgate: the model could not be loaded: {server.fault}", file=sys.stderr)
        return 1
    if not server.started:
        return 1
    if server.service.busy:
        print(f"tokgate: the engine did not end within {settings.grace_s:g} s; killed", file=sys.stderr)
        _abandon()
    return 0


def _vocab_size(model_dir: Path) -> int:
    return int(json.loads((model_dir / "config.json").read_text("utf-8"))["vocab_size"])


def _abandon() -> None:
    """Ends at once: an engine's call cannot be told to stop, and Python would wait for its thread."""
    for pid in processes.descendants(processes.scan(REAL_ROOT), os.getpid()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    sys.stderr.flush()
    os._exit(1)


def own_stdout() -> TextIO:
    """Standard output, for what is printed to it alone: engines log there too, vLLM dozens of lines, and from now on to
    the standard error."""
    sys.stdout.flush()
    own = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return own


if __name__ == "__main__":
    sys.exit(serve(ServiceSettings.of(sys.argv[1]), own_stdout()))
