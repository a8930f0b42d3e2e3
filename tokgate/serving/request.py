"""What a load client sends: where to, and requests that are ready before any clock runs. Standard library alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class Target:
    """An endpoint of a server. `path` begins with a slash and may hold a query; `headers` are sent as they are."""

    scheme: Literal["http", "https"]
    host: str
    port: int
    path: str
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"

    def beside(self, page: str) -> Target:
        """A page of the same server, as "/metrics": below what stands before /v1/... or /generate in `path`."""
        path = self.path.partition("?")[0]
        before = next((path.rpartition(part)[0] for part in ("/v1/", "/generate") if part in path), "")
        return replace(self, path=f"{before}{page}")


@dataclass(frozen=True)
class Request:
    """One request. `body`: its JSON, encoded; `prompt_len` and `output_len`: tokens it holds and asks for.

    `exact`: whether the server was told to ignore the end of sequence, so that any other number of tokens than
    `output_len` is a failure. `prompt_len` is 0 where nobody counted. `stream`: whether the body asks for a stream of
    server-sent events; without, the answer is one JSON object.
    """

    body: bytes
    prompt_len: int
    output_len: int
    exact: bool = True
    stream: bool = True
