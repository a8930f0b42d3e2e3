"""Starts Locust and hears what it saw: one process, or a master with workers, each on a core of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tokgate.child import python_path
from tokgate.errors import MeasurementError
from tokgate.plan import Users
from tokgate.serving.server import HOST, free_port
from tokgate.serving.users.tally import LoadTest

_LOCUSTFILE = Path(__file__).parents[1] / "locustfile.py"
_CLASSES = {
    ("completions", True): "StreamedCompletions",
    ("completions", False): "Completions",
    ("chat", True): "StreamedChat",
    ("chat", False): "Chat",
    ("generate", False): "Generate",
}
_LOOK_S = 0.2
# Above what Locust itself takes to start, gather and end.
_SLACK_S = 120.0
_TERM_S = 5.0
_TAIL_BYTES = 4000


@dataclass(frozen=True)
class Crowd:
    """`count` users of a server at `base_url`. `vocab_size` 0: prompts are texts, of exactly so many tokens where
    `tokenizer` is the folder of one. `seed`: of what each user sends; None: something else every time.

    `workers` 0: one process does it all. `cpus`: where Locust may run; None: anywhere. `timeout_s`: how long a request
    may take. `drain_s`: how long those may take that are on their way when the time is over; longer than that, so that
    each is answered or fails.
    """

    users: Users
    count: int
    base_url: str
    prompt_tokens: int
    output_tokens: int
    vocab_size: int = 0
    model: str = ""
    tokenizer: Path | None = None
    seed: int | None = None
    key_env: str = ""
    workers: int = 0
    cpus: frozenset[int] | None = None
    timeout_s: float = 120.0
    drain_s: float = 130.0

    def run(self, folder: Path, look: Callable[[], None] = lambda: None) -> LoadTest:
        """`folder` is for its files; `look` is called again and again, and may raise. Raises MeasurementError."""
        record = folder / "requests.json"
        with contextlib.ExitStack() as held:
            processes = [held.enter_context(self._process(words, folder, cpus)) for words, cpus in self._roles(record)]
            # The last one, which is the master where there is one, ends when all is written.
            leader = processes[-1]
            deadline_s = time.monotonic() + self.users.seconds + self.drain_s + _SLACK_S
            while leader.poll() is None:
                look()
                if time.monotonic() > deadline_s:
                    raise MeasurementError(f"Locust did not end; its last words:\n{_tails(folder)}")
                time.sleep(_LOOK_S)
        # Told to pass over requests that failed, it fails for what is its own: a part of the record may be missing.
        if leader.returncode or not record.exists():
            raise MeasurementError(f"Locust ended with status {leader.returncode}; its last words:\n{_tails(folder)}")
        return msgspec.json.decode(record.read_bytes(), type=LoadTest)

    def argv(self, record: Path) -> list[str]:
        """Locust's own command, without what a master and workers are told besides."""
        users = self.users
        options = {
            "host": self.base_url,
            "users": self.count,
            "spawn-rate": users.spawn_per_s,
            "stop-timeout": round(self.drain_s),
            "seconds": users.seconds,
            "think": f"{users.think_s[0]:g}:{users.think_s[1]:g}",
            "prompt-tokens": self.prompt_tokens,
            "output-tokens": self.output_tokens,
            "vocab-size": self.vocab_size,
            "tokenizer": self.tokenizer or "",
            "prompt-seed": "" if self.seed is None else self.seed,
            "served-model": self.model,
            "api-key-env": self.key_env,
            "request-timeout": self.timeout_s,
            "record": record,
            # The rows say what failed.
            "exit-code-on-error": 0,
        }
        told = [f"--{name}={value}" for name, value in options.items() if value != ""]
        command = [sys.executable, "-m", "locust", "-f", str(_LOCUSTFILE), "--headless", "--only-summary", *told]
        return [*command, _CLASSES[users.api, users.stream]]

    def _roles(self, record: Path) -> Iterator[tuple[list[str], frozenset[int] | None]]:
        """The commands, each with where it may run, the workers first."""
        common = self.argv(record)
        if not self.workers:
            yield common, self.cpus
            return
        port = free_port()
        for number in range(self.workers):
            own = sorted(self.cpus)[number % len(self.cpus)] if self.cpus else None
            words = ["--worker", f"--master-host={HOST}", f"--master-port={port}"]
            yield [*common[:-1], *words, common[-1]], None if own is None else frozenset({own})
        words = ["--master", f"--master-bind-host={HOST}", f"--master-bind-port={port}"]
        words += [f"--expect-workers={self.workers}", "--expect-workers-max-wait=60"]
        yield [*common[:-1], *words, common[-1]], self.cpus

    @contextlib.contextmanager
    def _process(
        self, argv: Sequence[str], folder: Path, cpus: frozenset[int] | None
    ) -> Iterator[subprocess.Popen[bytes]]:
        """In the process group of whoever asked, which goes as a whole; ended with the block."""
        number = len(list(folder.glob("locust-*.log")))
        with (folder / f"locust-{number}.log").open("wb") as log:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": python_path()},
            )
        if cpus is not None:
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(process.pid, cpus)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(_TERM_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _tails(folder: Path) -> str:
    texts = [path.read_text("utf-8", "replace")[-_TAIL_BYTES:].strip() for path in sorted(folder.glob("locust-*.log"))]
    return "\n".join(text for text in texts if text)
