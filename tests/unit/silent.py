"""Progress that nobody sees."""

from __future__ import annotations


class Silent:
    """A tokgate.launcher.Progress."""

    def say(self, text: str) -> None: ...

    def start(self, title: str, launches: int, rounds: int) -> None: ...

    def advance(self, detail: str) -> None: ...

    def launched(self) -> None: ...

    def finish(self) -> None: ...
