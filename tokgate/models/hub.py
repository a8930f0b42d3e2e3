"""The hub and its cache on this machine: what is there, can it be reached, and the download.

huggingface_hub is imported where it is used: a run without a hub does not pay for it.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokgate.errors import InputError

# What a model needs, and nothing that a loader would execute or unpickle.
ALLOWED_FILES = ("*.safetensors", "*.json", "*.txt", "*.jinja", "tokenizer.model")
REACH_TIMEOUT_S = 1.0

_TOKEN = re.compile(r"hf_[A-Za-z0-9]{6,}")


def scrub(text: str) -> str:
    """`text` without any access token of the hub."""
    return _TOKEN.sub("hf_***", text)


def cached_file(hub_id: str, revision: str, name: str, cache: Path | None = None) -> Path | None:
    """Where the hub's cache holds a file of that revision, if it does."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(hub_id, name, cache_dir=cache, revision=revision)
    return Path(found) if isinstance(found, str) else None


def cached_snapshot(hub_id: str, revision: str, cache: Path | None = None) -> Path | None:
    """The folder of the snapshot if its config and all its safetensors are there."""
    config = cached_file(hub_id, revision, "config.json", cache)
    if config is None:
        return None
    index = cached_file(hub_id, revision, "model.safetensors.index.json", cache)
    weights = sorted(set(json.loads(index.read_text())["weight_map"].values())) if index else ["model.safetensors"]
    if all(cached_file(hub_id, revision, name, cache) for name in weights):
        return config.parent
    return None


def is_reachable(hub_id: str, revision: str, timeout_s: float = REACH_TIMEOUT_S) -> bool:
    """Whether the hub has that revision, and says so within `timeout_s` (False where HF_HUB_OFFLINE is set)."""
    status = _status(hub_id, revision, timeout_s)
    return status is not None and status < 400


def is_there(hub_id: str, timeout_s: float) -> bool:
    """Whether the hub answers at all within `timeout_s`, be it that it has no such model. One try; False offline.

    False too for what can be no name of a model. Where it is False, whatever asks the hub would try again for long.
    """
    status = _status(hub_id, "main", timeout_s)
    return status is not None and status < 500


def _status(hub_id: str, revision: str, timeout_s: float) -> int | None:
    """What the hub answers with when asked for config.json; None where it does not within `timeout_s`."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return None
    answered: list[int] = []

    def ask() -> None:
        from huggingface_hub import hf_hub_url
        from huggingface_hub.utils import build_hf_headers, get_session  # type: ignore[attr-defined]  # re-exported lazily

        try:
            url = hf_hub_url(hub_id, "config.json", revision=revision)
            response = get_session().head(url, headers=build_hf_headers(), timeout=timeout_s)
        except Exception:  # whatever went wrong, and whatever library it comes from: no answer
            return
        # The hub's own helpers would retry for half a minute, and say so on the terminal.
        answered.append(response.status_code)

    # Looking up a host name knows no timeout, hence the thread.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(timeout_s)
    return answered[0] if answered else None


def fetch_config(hub_id: str, revision: str, cache: Path | None = None, called: str = "--model") -> dict[str, Any]:
    """config.json of that revision, from the cache or the hub. Raises InputError; `called`: the option that asked."""
    from huggingface_hub import hf_hub_download

    try:
        path = hf_hub_download(hub_id, "config.json", revision=revision, cache_dir=cache)
    except Exception as error:
        raise InputError(
            f"{hub_id}@{revision} is not in the hub's cache and cannot be fetched: {_one_line(error)}; check "
            f"the name, the revision and the network, or take {called} dummy"
        ) from None
    return dict(json.loads(Path(path).read_text()))


def download(emit: Callable[[dict[str, Any]], None], hub_id: str, revision: str, cache: str | None) -> dict[str, Any]:
    """A step of a build: the whole snapshot, safetensors only. Raises InputError."""
    from huggingface_hub import snapshot_download

    emit({"event": "step", "name": "download", "detail": f"{hub_id}@{revision[:7]}"})
    try:
        path = snapshot_download(hub_id, revision=revision, cache_dir=cache, allow_patterns=list(ALLOWED_FILES))
    except Exception as error:
        raise InputError(f"{hub_id}@{revision} cannot be downloaded: {_one_line(error)}") from None
    if not any(Path(path).glob("*.safetensors")):
        raise InputError(
            f"{hub_id}@{revision} has no *.safetensors; pickled weights are never loaded: they can run code"
        )
    return {"path": path}


def _one_line(error: Exception) -> str:
    return scrub(" ".join(f"{type(error).__name__}: {error}".split())[:400])
