"""What an engine chose for itself (kernels, graphs, cache sizes), and how that differs from the accepted sessions."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

from tokgate.session import Session

# vLLM sizes its KV cache by the memory that it finds free: one that differs by less is the same choice.
_SIZED = ("kv_cache_tokens", "num_gpu_blocks")
_SAME_SIZE = 0.05


def chosen(session: Session, scenario: str) -> dict[str, str]:
    """Of the group that measured `scenario`; empty where the session does not tell: telemetry has no schema.

    Versions are left out: they are software, whose changes are told beside the verdicts.
    """
    groups = session.telemetry.get("groups")
    names = [name for name in groups if scenario.startswith(f"{name}.")] if isinstance(groups, dict) else []
    told = groups[max(names, key=len)] if isinstance(groups, dict) and names else None
    return choices_of(told.get("engine") if isinstance(told, dict) else None, session.software)


def choices_of(engine: object, software: Container[str]) -> dict[str, str]:
    """What an engine told of itself, without the versions of `software`."""
    told = engine.items() if isinstance(engine, dict) else ()
    return {str(name): str(value) for name, value in told if name not in software}


def choice_changes(now: Mapping[str, str], accepted: Sequence[Mapping[str, str]]) -> list[str]:
    """A line, as `the engine's cudagraph_mode FULL -> NONE`, for each choice that none of the accepted sessions made.

    `accepted`: the choices of each of those, the oldest first. Only what both sides tell is compared: a choice that an
    older tokgate did not ask for, or a version of the engine does not tell, was made all the same.
    """
    found = []
    for name, value in sorted(now.items()):
        seen = [choices[name] for choices in accepted if name in choices]
        known = value in seen or (name in _SIZED and any(_same_size(value, before) for before in seen))
        if seen and not known:
            found.append(f"the engine's {name} {seen[-1]} -> {value}")
    return found


def _same_size(one: str, other: str) -> bool:
    try:
        return abs(float(one) - float(other)) <= _SAME_SIZE * abs(float(other))
    except ValueError:
        return False
