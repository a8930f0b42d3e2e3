"""Users of an LLM server, for Locust: `locust -f tokgate/serving/locustfile.py -H http://localhost:8000 [CLASS]`.

CLASS is StreamedCompletions (where none is named), Completions, StreamedChat, Chat or Generate. TTFT and TPOT stand
beside the requests as entries of their own; a request's own time is that of its whole answer. `--help` says what users
can be told: the options marked tokgate.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from locust import events
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment

from tokgate.serving.users.book import PromptBook
from tokgate.serving.users.locusts import CLASSES, Chat, Completions, Generate, StreamedChat, StreamedCompletions
from tokgate.serving.users.options import add_options
from tokgate.serving.users.recording import Recorder

__all__ = ["Chat", "Completions", "Generate", "StreamedChat", "StreamedCompletions"]


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]  # Locust's
def _add_options(parser: LocustArgumentParser, **named: Any) -> None:
    add_options(parser)


@events.init.add_listener  # type: ignore[untyped-decorator]  # Locust's
def _open(environment: Environment, **named: Any) -> None:
    if len(environment.user_classes) == len(CLASSES):
        # Nobody named one; a server has hardly all of the endpoints.
        environment.user_classes = [StreamedCompletions]
    options = environment.parsed_options
    path = Path(options.record) if options.record else None
    environment.tokgate_prompts = PromptBook(environment)
    environment.tokgate_recorder = Recorder(environment, path, options.seconds)
