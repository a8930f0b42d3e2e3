"""What may stand in a file of scenarios/, and what is said where something else does."""

from __future__ import annotations

import difflib
import re
import sys
from pathlib import Path
from typing import Any, Literal

import msgspec

from tokgate.errors import InputError
from tokgate.plan import Device, Prompts

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# The settings of this name go with each request.
SAMPLING = "sampling"


class _Strict(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    pass


class ProfileKeys(_Strict, frozen=True):
    launches: int
    rounds: int
    only: Literal["quick"] | None = None
    time_scale: float = 1.0


class UsersKeys(_Strict, frozen=True):
    spawn_per_s: float
    think_s: tuple[float, float]
    seconds: float


class VariantKeys(_Strict, frozen=True):
    engine: str | list[str]
    settings: dict[str, Any] = {}
    prompts: Prompts = "random"
    open_share: float | None = None
    both_clients: bool = False
    users: UsersKeys | None = None
    api: Literal["completions", "chat"] | None = None
    stream: bool | None = None

    @property
    def engines(self) -> list[str]:
        return [self.engine] if isinstance(self.engine, str) else self.engine

    @property
    def is_traffic(self) -> bool:
        """Whether it changes what a load client does, and leaves the server as it is."""
        return not self.settings

    @property
    def is_of_requests(self) -> bool:
        """Whether it changes what an offline engine is asked, and leaves the engine as it is."""
        return (self.prompts != "random" or bool(self.settings)) and not self.settings.keys() - {SAMPLING}


class GroupKeys(_Strict, frozen=True):
    engine: str
    precisions: list[str]
    rows: list[str]
    model: str | None = None
    variants: list[str] = []
    gated: tuple[str, ...] | None = None
    quick: list[str] = []
    num_prompts: int | None = None
    selections: tuple[str, ...] = ()
    weights: Literal["full", "skeleton"] = "full"


class MatrixKeys(_Strict, frozen=True):
    device: Device
    model: str
    group: list[GroupKeys]
    profiles: dict[str, ProfileKeys]
    gpus: int = 1
    # Engine -> settings of all its groups, which a variant's go before.
    engines: dict[str, dict[str, Any]] = {}


def read_toml(path: Path, kind: Any) -> Any:
    try:
        return msgspec.convert(tomllib.loads(path.read_text("utf-8")), kind)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise InputError(f"{path}: {error}{_known_keys(str(error))}") from None


def _known_keys(message: str) -> str:
    """For an unknown key: the one that was probably meant."""
    found = re.search(r"unknown field `(\w+)`", message)
    if not found:
        return ""
    fields = [field for kind in (MatrixKeys, GroupKeys, ProfileKeys, VariantKeys) for field in kind.__struct_fields__]
    close = difflib.get_close_matches(found[1], fields, 1)
    return f" (did you mean `{close[0]}`?)" if close else ""
