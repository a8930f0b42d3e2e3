"""Locust's user classes. Their settings are options of the locust command, see options.py."""

from __future__ import annotations

import random
import time
from typing import Any

import gevent
from locust import User, task
from locust.env import Environment
from locust.exception import StopUser

from tokgate.plan import Api
from tokgate.serving.record import Failure
from tokgate.serving.users.asking import Asking
from tokgate.serving.users.connection import UserConnection
from tokgate.serving.users.hearing import Heard, Hearing
from tokgate.serving.users.options import UserOptions
from tokgate.serving.users.recording import Recorder


class FailedError(Exception):
    """What Locust shows of a failure; it counts them by their text, so that has no figures in it."""


class LlmUser(User):  # type: ignore[misc]  # untyped base
    """Asks, reads all of the answer, thinks, and asks again something else."""

    abstract = True
    api: Api = "completions"
    stream = False

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._options = options = UserOptions.of(environment.parsed_options)
        self._recorder: Recorder = environment.tokgate_recorder
        self._random = random.Random()
        self._asking = Asking(
            self.api, self.stream, options.output_tokens, options.model, options.temperature, options.exact
        )
        self._prompts = environment.tokgate_prompts.of_user(self.api, options)
        self._connection = UserConnection(
            options.target(self.host or "", self._asking.path), self.api, options.timeout_s
        )

    def wait_time(self) -> float:
        return self._random.uniform(*self._options.think_s)

    def on_stop(self) -> None:
        self._connection.close()

    @task  # type: ignore[untyped-decorator]  # Locust's
    def ask(self) -> None:
        request = self._asking.request(*self._prompts.next())
        sent_at = time.time()
        try:
            heard = self._connection.ask(request)
        except (gevent.GreenletExit, StopUser):
            self._recorder.add_unfinished(sent_at)
            raise
        except Exception as error:  # Locust would log it and ask on, and this request be in no count: it failed
            said = f"{type(error).__name__}: {error}"
            heard = Hearing(request, self.api).broken(Failure.MALFORMED, said, time.time() - sent_at)
        sent_at += heard.connected_s
        self._recorder.add(heard, sent_at)
        self._tell(heard, sent_at)

    def _tell(self, heard: Heard, sent_at: float) -> None:
        """Locust's statistics: the time of the whole answer, and, as entries of their own, TTFT and TPOT."""
        path = self._asking.path
        fault = heard.fault
        self._fire("POST", path, heard.e2el_s, sent_at, FailedError(fault.failure.value) if fault else None)
        if fault is None and heard.ttft_s is not None:
            self._fire("TTFT", path, heard.ttft_s, sent_at)
        if fault is None and heard.tpot_s is not None:
            self._fire("TPOT", path, heard.tpot_s, sent_at)

    def _fire(self, kind: str, name: str, took_s: float, sent_at: float, error: Exception | None = None) -> None:
        told: dict[str, Any] = {"context": {}, "exception": error, "start_time": sent_at, "url": self.host}
        self.environment.events.request.fire(
            request_type=kind, name=name, response_time=1e3 * took_s, response_length=0, response=None, **told
        )


class StreamedCompletions(LlmUser):
    """POST /v1/completions, streamed."""

    stream = True


class Completions(LlmUser):
    """POST /v1/completions, the answer whole."""


class StreamedChat(LlmUser):
    """POST /v1/chat/completions, streamed."""

    api = "chat"
    stream = True


class Chat(LlmUser):
    """POST /v1/chat/completions, the answer whole."""

    api = "chat"


class Generate(LlmUser):
    """POST /generate."""

    api = "generate"


CLASSES = (StreamedCompletions, Completions, StreamedChat, Chat, Generate)
