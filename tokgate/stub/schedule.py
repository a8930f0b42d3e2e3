"""When each message of an answer is due. Pure: the same seed, request and settings give the same times."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate, chain, repeat

from tokgate.errors import InputError
from tokgate.stub.selector import Selector

Factor = Callable[[], float]


@dataclass(frozen=True)
class Jitter:
    """How a gap varies around its mean, which it keeps. `share` of the gap is random, from 0 to 1.

    exponential: the gap is (1 - share) of the mean and an exponential with the mean of the rest.
    uniform: between (1 - share) and (1 + share) times the mean.
    """

    shape: str
    share: float

    def factors(self, source: random.Random) -> Factor:
        """Random factors of mean 1."""
        share = self.share
        if self.shape == "exponential":
            return lambda: 1 - share + share * source.expovariate(1.0)
        return lambda: 1 - share + 2 * share * source.random()


@dataclass(frozen=True)
class Stall:
    """Token `token` (from 0) of the selected requests, and all after it, come `stall_s` seconds later."""

    requests: Selector
    token: int
    stall_s: float


@dataclass(frozen=True)
class Pace:
    """The settings of a schedule. Gaps are per token: a message of several comes after as many gaps."""

    ttft_s: float = 0.05
    itl_s: float = 0.01
    tokens_per_message: int = 1
    ttft_jitter: Jitter | None = None
    itl_jitter: Jitter | None = None
    stalls: tuple[Stall, ...] = ()
    seed: int = 0

    def messages(self, tokens: int) -> int:
        """How many messages `tokens` tokens come in; the last may have fewer than the others."""
        return math.ceil(tokens / self.tokens_per_message)

    def offsets_s(self, request: int, tokens: int) -> Iterator[float]:
        """When the messages of request number `request` are due, in seconds after the answer began.

        Made as they are asked for, out of itertools: at 100,000 tokens a second a line of Python for each counts.
        """
        source = random.Random(f"{self.seed}:{request}")
        per_message = self.tokens_per_message
        last = tokens - (self.messages(tokens) - 1) * per_message
        gaps_s: Iterator[float] = repeat(self.itl_s * per_message, max(0, self.messages(tokens) - 2))
        if tokens > last:
            gaps_s = chain(gaps_s, [self.itl_s * last])
        first_s = self.ttft_s * (self.ttft_jitter.factors(source)() if self.ttft_jitter else 1.0)
        if self.itl_jitter:
            factor = self.itl_jitter.factors(source)
            gaps_s = (gap_s * factor() for gap_s in gaps_s)
        stalls = [stall for stall in self.stalls if request in stall.requests]
        if stalls:
            at = [stall.token // per_message for stall in stalls]
            first_s += sum(stall.stall_s for stall, message in zip(stalls, at, strict=True) if message == 0)
            gaps_s = (
                gap_s + sum(stall.stall_s for stall, stalled in zip(stalls, at, strict=True) if stalled == message)
                for message, gap_s in enumerate(gaps_s, start=1)
            )
        return accumulate(gaps_s, initial=first_s)


def parse_jitter(text: str) -> Jitter:
    """`exponential:0.3` or `uniform:0.3`. Raises InputError."""
    shape, _, share = text.partition(":")
    if shape not in ("exponential", "uniform") or not re.fullmatch(r"0(\.\d+)?|1(\.0+)?", share):
        raise InputError(f"jitter {text!r}: write exponential:SHARE or uniform:SHARE, with a share from 0 to 1")
    return Jitter(shape, float(share))


def parse_stall(text: str) -> Stall:
    """`REQUEST:TOKEN:SECONDS`, where REQUEST is what a Selector reads. Raises InputError."""
    requests, rest = Selector.split(text)
    match = re.fullmatch(r"(\d+):(\d+(?:\.\d+)?)", rest)
    if match is None:
        raise InputError(f"stall {text!r}: write REQUEST:TOKEN:SECONDS, for instance 3:10:1.5")
    return Stall(requests, int(match[1]), float(match[2]))
