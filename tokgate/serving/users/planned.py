"""From a row of a plan to its users."""

from __future__ import annotations

from pathlib import Path
from random import Random

from tokgate.generate.codec import Codec
from tokgate.plan import LaunchPlan, PlanRow
from tokgate.scenario import SERVE
from tokgate.serving.users.crowd import Crowd
from tokgate.serving.users.texts import Texts


def crowd_of(plan: LaunchPlan, row: PlanRow, base_url: str, cpus: frozenset[int] | None, seed: int) -> Crowd:
    """The users of `row`, who run on `cpus` (None: anywhere). What is said in a chat has exactly the row's tokens, by
    the served model's tokenizer. Raises ValueError for one that makes no such text."""
    assert plan.server is not None, "users are of servers"
    assert row.traffic is not None, "users are of servers' rows"
    users = row.traffic.users
    assert users is not None, f"{row.scenario} has no users"
    return Crowd(
        users,
        count=row.batch,
        base_url=base_url,
        prompt_tokens=row.prompt_len,
        output_tokens=row.output_len,
        vocab_size=plan.vocab_size,
        model=plan.server.model if plan.engine == SERVE else "",
        tokenizer=_tokenizer(plan, row, seed) if users.api == "chat" else None,
        seed=seed,
        key_env=plan.server.api_key_env,
        workers=plan.load_workers,
        cpus=cpus,
    )


def _tokenizer(plan: LaunchPlan, row: PlanRow, seed: int) -> Path:
    """Tried here: in Locust a user who finds no text would be an exception in its log."""
    folder = Path(plan.model_dir)
    Texts(Codec(folder), row.prompt_len).draw(Random(seed))
    return folder
