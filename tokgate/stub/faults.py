"""What goes wrong, and with which request. Pure: what a fault puts on the wire is in script.py."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tokgate.errors import InputError
from tokgate.stub.selector import Selector

# Before a response, or in its place.
STATUSES = ("400", "401", "404", "422", "429", "500", "503")
INSTEAD = {
    "reset": "the connection is reset (RST) before a byte of a response",
    "close": "the connection is closed before a byte of a response",
    "no-headers": "nothing is sent until the client goes away",
    "http-garbage": "bytes that are no HTTP, then the connection is closed",
    "html": "status 200 with a page of HTML, as a proxy's",
}
# Once VALUE tokens are sent; half of them where no VALUE is given.
MID_STREAM = {
    "reset-mid-stream": "the connection is reset (RST)",
    "cut": "the connection is closed inside the chunked body, as when a server is killed",
    "end-early": "the body ends as HTTP has it, without finish_reason, usage and [DONE]; the connection is closed",
    "short": "the answer ends as if it were whole, with [DONE] and the usage of the fewer tokens",
    "stall": "nothing more comes until the client goes away",
    "error-message": 'data: {"error": {...}} as vLLM writes it, then [DONE]',
    "error-object": 'data: {"object": "error", ...} as older servers write it, then [DONE]',
    "bad-json": "one message is no JSON; the rest comes",
    "bad-utf8": "one message is no UTF-8; the rest comes",
    "bad-line": "one line is none of an event stream; the rest comes",
    "bad-chunk": "a chunk's length is no number, then the connection is closed",
}
# All through the stream.
THROUGHOUT = {
    "no-done": "all tokens and usage, no [DONE]; the connection is closed",
    "no-usage": "no usage though it was asked for",
    "wrong-usage": "usage counts one token more than were sent",
    "empty-choices": "every message has empty choices: no token is sent",
    "content-type": "a correct stream, labelled application/octet-stream",
    "comment": "a comment line before every message, which is no fault: clients must pass over it",
}
HARMLESS = frozenset({"comment"})


@dataclass(frozen=True)
class Fault:
    """`value`: the token of a fault in mid-stream, the seconds of Retry-After for 429 and 503; None: not given."""

    kind: str
    value: int | None = None

    @property
    def name(self) -> str:
        return self.kind if self.value is None else f"{self.kind}:{self.value}"


@dataclass(frozen=True)
class FaultPlan:
    """The first entry that selects a request has it."""

    entries: tuple[tuple[Selector, Fault], ...] = ()

    def of(self, request: int) -> Fault | None:
        return next((fault for requests, fault in self.entries if request in requests), None)


def parse_faults(texts: Sequence[str]) -> FaultPlan:
    """Each `REQUEST:KIND` or `REQUEST:KIND:VALUE`: `0:reset`, `3-7:429:10000`, `every:10:stall:5`.

    Raises InputError.
    """
    return FaultPlan(tuple(map(_parse, texts)))


def _parse(text: str) -> tuple[Selector, Fault]:
    requests, rest = Selector.split(text)
    kind, has_value, value = rest.partition(":")
    if kind not in (*STATUSES, *INSTEAD, *MID_STREAM, *THROUGHOUT):
        kinds = ", ".join((*STATUSES, *INSTEAD, *MID_STREAM, *THROUGHOUT))
        raise InputError(f"fault {text!r}: {kind!r} is no kind of fault; there are {kinds}")
    if not has_value:
        return requests, Fault(kind)
    if kind not in ("429", "503", *MID_STREAM):
        raise InputError(f"fault {text!r}: {kind} takes no value; leave out {value!r}")
    if not re.fullmatch(r"\d+", value):
        raise InputError(f"fault {text!r}: {value!r} is no whole number")
    return requests, Fault(kind, int(value))
