"""What a session measured: its scenarios, and the few words that tell it from the node's other sessions. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tokgate.session import Session

_MOST_NAMED = 3


def scenarios_of(session: Session) -> set[str]:
    """Those that it has rows of, and those that it tried in vain."""
    # Telemetry has no schema.
    work = session.telemetry.get("work")
    return {row.scenario for row in session.rows} | ({*work} if isinstance(work, dict) else set())


def label(session: Session) -> str:
    """Its groups, what they share told once: "qwen2.5-7b-dummy.vllm (fp16, int8)"; "" where it tells none."""
    groups = session.telemetry.get("groups")
    tried = [str(group) for group in groups] if isinstance(groups, dict) else []
    measured = [row.group or row.scenario.rsplit(".", 3)[0] for row in session.rows]
    return _named(list(dict.fromkeys([*tried, *measured])))


def _named(groups: Sequence[str]) -> str:
    if len(groups) < 2:
        return "".join(groups)
    words = [group.split(".") for group in groups]
    shared = 0
    # Each keeps a word of its own.
    while shared < min(map(len, words)) - 1 and len({tuple(group[: shared + 1]) for group in words}) == 1:
        shared += 1
    rests = [".".join(group[shared:]) for group in words]
    more = len(rests) - _MOST_NAMED
    told = ", ".join(rests[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
    return f"{'.'.join(words[0][:shared])} ({told})" if shared else told
