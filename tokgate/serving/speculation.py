"""What a server's speculation did over a load, by the counters of its /metrics: figures of `vllm bench serve`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tokgate.serving.request import Target
from tokgate.serving.server_metrics import ACCEPTED_TOKENS, DRAFTED_TOKENS, fetch, samples
from tokgate.serving.web import Web

# The server is idle when it is asked; where the page hangs, the connections that are open must not age meanwhile, and
# nothing hears Ctrl-C.
_ANSWER_S = 1.0
# vLLM's names, 0.19 to 0.32.
_DRAFTS = "vllm:spec_decode_num_drafts_total"
_ACCEPTED_AT = "vllm:spec_decode_num_accepted_tokens_per_pos_total"

# (name, position) -> count; of counters without a position that is -1.
Counts = Mapping[tuple[str, int], int]


@dataclass(frozen=True)
class Speculation:
    """Over a load. `accepted_at`: of the first drafted token, the second and so on, how many were accepted."""

    drafts: int
    draft_tokens: int
    accepted_tokens: int
    accepted_at: tuple[int, ...]

    @property
    def acceptance_pct(self) -> float:
        return self.accepted_tokens / self.draft_tokens * 100

    @property
    def acceptance_length(self) -> float:
        """Tokens a step: the one that is made anyway, and those accepted."""
        return 1 + self.accepted_tokens / self.drafts if self.drafts else 0.0

    @property
    def acceptance_at(self) -> list[float]:
        """By position, as shares of the drafts."""
        return [accepted / self.drafts for accepted in self.accepted_at] if self.drafts else []

    def as_json(self) -> dict[str, Any]:
        """By vLLM's keys."""
        return {
            "spec_decode_acceptance_rate": self.acceptance_pct,
            "spec_decode_acceptance_length": self.acceptance_length,
            "spec_decode_num_drafts": self.drafts,
            "spec_decode_draft_tokens": self.draft_tokens,
            "spec_decode_accepted_tokens": self.accepted_tokens,
            "spec_decode_per_position_acceptance_rates": self.acceptance_at,
        }


class SpeculationWatch:
    """Reads a server's counters before a load and after it; `page`: its /metrics."""

    def __init__(self, page: Target) -> None:
        self._page = page
        self._web = Web(page.scheme)
        self._before: Counts = {}

    def start(self) -> None:
        self._before = self._read()

    def stop(self) -> Speculation | None:
        """None where the server does not speculate, does not tell, or proposed nothing."""
        return between(self._before, self._read()) if self._before else None

    def _read(self) -> Counts:
        return counts((fetch(self._page, self._web, _ANSWER_S) or b"").decode("utf-8", "replace"))


def counts(text: str) -> Counts:
    """The sums over a server's engines; empty where it counts no speculation, or the page is none of vLLM's."""
    found: Counter[tuple[str, int]] = Counter()
    try:
        for sample in samples(text, (_DRAFTS, DRAFTED_TOKENS, ACCEPTED_TOKENS, _ACCEPTED_AT)):
            found[sample.name, int(sample.labels.get("position", -1))] += int(sample.value)
    except (ValueError, OverflowError):
        return {}
    return found


def between(before: Counts, after: Counts) -> Speculation | None:
    """None where nothing was proposed; and where a counter fell, since then another server answered or it restarted."""
    grown = {key: after.get(key, 0) - before.get(key, 0) for key in {*before, *after}}
    drafted = grown.get((DRAFTED_TOKENS, -1), 0)
    if not drafted or min(grown.values()) < 0:
        return None
    return Speculation(
        drafts=grown.get((_DRAFTS, -1), 0),
        draft_tokens=drafted,
        accepted_tokens=grown.get((ACCEPTED_TOKENS, -1), 0),
        accepted_at=tuple(grown[key] for key in sorted(grown) if key[0] == _ACCEPTED_AT),
    )
