"""What a load client keeps of each request, and what follows from it. Pure.

Times are seconds of the host's monotonic clock (`time.perf_counter`), which all its processes share.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Failure(str, enum.Enum):
    """Why a request is no success, as it is counted in reports."""

    REFUSED = "connection refused"
    RESET = "connection lost"
    HTTP_4XX = "HTTP 4xx"
    HTTP_429 = "HTTP 429"
    HTTP_5XX = "HTTP 5xx"
    STREAM_ERROR = "error inside the stream"
    TRUNCATED = "stream ended early"
    NO_USAGE = "no usage"
    WRONG_LENGTH = "wrong number of tokens"
    MALFORMED = "malformed answer"
    TIMEOUT = "timed out"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class RequestRecord:
    """One request. `number` counts from 0 in the order of the workload.

    `due_s`: when it should have been sent: by its schedule in an open loop, at the start of the run in a closed one,
    where all requests ask for a slot at once. `sent_s`: just before it was written, after a slot was won. `message_s`:
    when the bytes of each streamed message with a non-empty `choices` had arrived; of an answer that is not streamed
    one. `prompt_tokens` and `output_tokens` are the server's `usage`, None where it gave none. `detail` says more of a
    failure.
    """

    number: int
    due_s: float
    sent_s: float
    message_s: tuple[float, ...] = ()
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    failure: Failure | None = None
    detail: str = ""
    text: str = ""

    @property
    def queue_s(self) -> float:
        """How long it waited in the client."""
        return self.sent_s - self.due_s

    @property
    def ttft_s(self) -> float:
        """From sending to the first message. Raises IndexError where none came."""
        return self.message_s[0] - self.sent_s

    @property
    def e2el_s(self) -> float:
        """From sending to the last message."""
        return self.message_s[-1] - self.sent_s

    @property
    def tpot_s(self) -> float | None:
        """(E2EL - TTFT) / (n - 1) for n > 1 output tokens, else None."""
        if self.output_tokens is None or self.output_tokens < 2:
            return None
        return (self.message_s[-1] - self.message_s[0]) / (self.output_tokens - 1)

    @property
    def itl_s(self) -> list[float]:
        """Gaps between successive messages."""
        return [after - before for before, after in zip(self.message_s, self.message_s[1:], strict=False)]
