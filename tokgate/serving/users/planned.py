"""From a row of a plan to its users."""

from __future__ import annotations

import json
from pathlib import Path

from tokgate.generate.codec import Codec
from tokgate.plan import LaunchPlan, PlanRow
from tokgate.scenario import SERVE
from tokgate.serving.users.crowd import Crowd
from tokgate.serving.users.texts import texts_of

_TEXTS = 500


def crowd_of(
    plan: LaunchPlan, row: PlanRow, base_url: str, cpus: frozenset[int] | None, folder: Path, texts_seed: int
) -> Crowd:
    """The users of `row`, who run on `cpus` (None: anywhere). What they say in a chat is written into `folder`."""
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
        prompts=_texts(plan, row, folder, texts_seed) if users.api == "chat" else None,
        key_env=plan.server.api_key_env,
        workers=plan.load_workers,
        cpus=cpus,
    )


def _texts(plan: LaunchPlan, row: PlanRow, folder: Path, seed: int) -> Path:
    """Texts of exactly the row's tokens, by the served model's tokenizer."""
    path = folder / "prompts.json"
    path.write_text(json.dumps(texts_of(Codec(Path(plan.model_dir)), row.prompt_len, _TEXTS, seed)), "utf-8")
    return path
