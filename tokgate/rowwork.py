"""What a session keeps of a row's work: the steps whose times are measured, as its engine was told to do them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokgate.models.shapes import ModelShape
from tokgate.roofline import work_of
from tokgate.scenario import Scenario


def row_work(
    row: Scenario, shape: ModelShape, settings: Mapping[str, Any], engine: Mapping[str, str], remote: bool = False
) -> dict[str, float]:
    """Figures as `Work.figures`, of `shape` in an engine with these settings that tells `engine` of itself.

    Of a server's row its decode steps: requests that come one by one are not prefilled all at once. Of a `remote` one
    nothing: nobody knows its steps. Where tokens are speculated there is no decode: a step gives as many of them as are
    accepted, so the time per token is not a step's.
    """
    group, traffic = row.group, row.traffic
    if traffic is not None and (remote or traffic.users or traffic.open_share is not None):
        return {}
    if traffic is not None and traffic.prompts == "mixed":
        return {}
    lens = row.prompt_len, row.output_len
    at_once = min(row.batch, _most_at_once(settings, engine) or row.batch)
    # What the engine says of itself goes first: where it is told nothing, its version or the weights decide.
    cache = engine.get("kv_cache_dtype") or settings.get("kv_cache_dtype")
    work = work_of(shape, group.loader, group.precision, row.batch, *lens, cache).figures()
    stepped = work_of(shape, group.loader, group.precision, at_once, *lens, cache).figures()
    prefill = {name: value for name, value in work.items() if name.startswith("prefill")} if traffic is None else {}
    decode = {name: value for name, value in stepped.items() if name.startswith("decode")}
    return prefill if _speculates(settings, engine) else {**prefill, **decode}


def _most_at_once(settings: Mapping[str, Any], engine: Mapping[str, str]) -> int | None:
    """Sequences of one step at most, where the engine tells, or was told; the others of a batch wait."""
    told = str(engine.get("max_num_seqs") or settings.get("max_num_seqs"))
    return int(told) if told.isdecimal() else None


def _speculates(settings: Mapping[str, Any], engine: Mapping[str, str]) -> bool:
    return bool(settings.get("speculative_config")) or engine.get("speculation", "none") != "none"
