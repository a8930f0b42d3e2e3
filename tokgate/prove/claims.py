"""What the gate promises, and whether the rates that were found break it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tokgate.prove.rates import CONFIDENCE, Rate
from tokgate.prove.situations import UNCHANGED
from tokgate.prove.trial import TOKGATE, Column

# By machine kind: the tolerance for which the figures below are given, in percent.
TOLERANCE_PCT = {"gpu": 1.0, "cpu": 2.0}

# The chance that a promise which is kept exactly, with nothing to spare, is called broken.
CHANCE = (1 - CONFIDENCE) / 2

# By line, then by column.
Rates = Mapping[str, Mapping[Column, Rate]]


@dataclass(frozen=True)
class Claim:
    """A share of nights that is at least, or at most, `share`; of the situation with the id `situation`."""

    situation: str
    column: Column
    share: float
    at_least: bool

    def broken_by(self, rate: Rate) -> bool:
        """Whether the rate's bounds lie wholly on the wrong side."""
        return rate.high < self.share if self.at_least else rate.low > self.share

    def __str__(self) -> str:
        word = "at least" if self.at_least else "at most"
        return f"{self.situation}, {self.column}: {word} {100 * self.share:g}%"


@dataclass(frozen=True)
class Finding:
    """A claim beside the rate that was found."""

    claim: Claim
    rate: Rate

    @property
    def broken(self) -> bool:
        return self.claim.broken_by(self.rate)


def _false_alarms(situation: str) -> tuple[Claim, ...]:
    return tuple(Claim(situation, column, 0.01, at_least=False) for column in TOKGATE)


CLAIMS = (
    *_false_alarms(f"gpu: {UNCHANGED}"),
    Claim("gpu: 1 row 5% slower", "stored5", 0.90, at_least=True),
    Claim("gpu: 1 row 5% slower", "stored10", 0.95, at_least=True),
    Claim("gpu: 1 row 3% slower", "paired", 0.95, at_least=True),
    Claim("gpu: 1 row 2% slower", "paired", 0.70, at_least=True),
    *_false_alarms(f"cpu: {UNCHANGED}"),
    Claim("cpu: 1 row 10% slower", "paired", 0.90, at_least=True),
    # A change of variance alone, or for the better, is no regression.
    *_false_alarms("gpu: iteration SD x2"),
    *_false_alarms("gpu: launch SD x2"),
    *_false_alarms("gpu: 1 row 5% faster"),
    *_false_alarms("gpu: all 5% faster"),
)


def findings(rates: Rates, claims: Sequence[Claim] = CLAIMS) -> list[Finding]:
    """The claims whose line and column were measured."""
    return [
        Finding(claim, rates[claim.situation][claim.column])
        for claim in claims
        if claim.column in rates.get(claim.situation, {})
    ]
