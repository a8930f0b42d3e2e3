"""How much of vLLM's KV cache a generate call used, from vLLM's own statistics. Imports no vLLM."""

from __future__ import annotations

from typing import Any


class CachePeak:
    """The largest share of the KV cache's blocks that was in use after a step of the scheduler, 0 to 1.

    Stands among vLLM's stat loggers, which hear of each step in the process that called `generate`: the price is
    one comparison a step. A step's statistics come after its finished sequences gave their blocks back, so what
    the last step of a sequence alone added is not seen, and of a sequence of one step nothing.
    """

    def __init__(self) -> None:
        self.share = 0.0

    def record(self, scheduler_stats: Any, iteration_stats: Any, *others: Any, **named: Any) -> None:
        """As vLLM calls it; statistics may be None."""
        if scheduler_stats is not None and scheduler_stats.kv_cache_usage > self.share:
            self.share = scheduler_stats.kv_cache_usage

    def log(self) -> None: ...

    def log_engine_initialized(self) -> None: ...

    def record_sleep_state(self, *state: int) -> None: ...

    def record_admission_rejection(self, reason: str) -> None: ...


def watch_cache(llm: Any) -> CachePeak | None:
    """Puts a CachePeak among the stat loggers of an `LLM`; None where its version keeps none such (0.19 to 0.32 do)."""
    loggers = getattr(getattr(llm.llm_engine, "logger_manager", None), "stat_loggers", None)
    if not isinstance(loggers, list):
        return None
    peak = CachePeak()
    loggers.append(peak)
    return peak


def cache_use(peak: CachePeak | None, blocks: int | None, block_tokens: int | None) -> dict[str, int | None]:
    """What a round's event says: `peak_blocks` in use at once, of `blocks`, each of `block_tokens`; None if not known.

    vLLM keeps one of its `blocks` as a null block, which nobody can use and which its share leaves out.
    """
    usable = blocks - 1 if blocks else None
    used = round(peak.share * usable) if peak is not None and usable is not None else None
    return {"peak_blocks": used or None, "blocks": usable, "block_tokens": block_tokens}
