"""What a sweep has measured: a folder with a file for each launch, written whole when it ends, so a kill costs one.

.tokgate/sweeps/NAME/sweep.json           what is measured, on what, with what
                     launches/0001.json   a launch: its pass, its rows, its rounds, or why it failed
                     logs/                what workers and servers printed
                     winner/              the winner as a scenario
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from tokgate.errors import InputError
from tokgate.gate.fingerprint import ABSENT
from tokgate.launch import LaunchRecord
from tokgate.metrics import ServingRound
from tokgate.session import write_atomically

# Version history: 1  the first
SCHEMA = 1
_MOST_SHOWN = 5
_REMOVE = "remove it, and it is made again"


@dataclass(frozen=True)
class Made:
    """A launch that ended: of which pass (from 1), under which scenarios, what it measured or why it `failed`."""

    number: int
    pass_number: int
    scenarios: tuple[str, ...]
    wall_s: float
    record: LaunchRecord | None
    failed: str | None = None


class Store:
    """The folder of one sweep."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def winner_dir(self) -> Path:
        return self.folder / "winner"

    @property
    def logs_dir(self) -> Path:
        return self.folder / "logs"

    @property
    def exists(self) -> bool:
        return self._identity_path.exists()

    def open(self, identity: Mapping[str, Any]) -> None:
        """Begins the sweep, or goes on with it. Raises InputError where what is there is of something else."""
        if not self.exists:
            if self._launch_paths():
                raise InputError(f"{self.folder} holds launches of an unknown sweep: --fresh sets them aside")
            write_atomically(self._identity_path, _encoded({"schema": SCHEMA, **identity}))
            return
        told = _decoded(self._identity_path)
        if told.get("schema") != SCHEMA:
            raise InputError(
                f"{self._identity_path} has schema {told.get('schema')}; this tokgate reads {SCHEMA}: see --fresh"
            )
        changes = list(_changes(told, {"schema": SCHEMA, **_plain(identity)}))
        if changes:
            more = f", and {len(changes) - _MOST_SHOWN} more" if len(changes) > _MOST_SHOWN else ""
            raise InputError(
                f"{self.folder} was begun with something else: {'; '.join(changes[:_MOST_SHOWN])}{more}. Launches of "
                "both cannot be ranked together: undo the change to go on, or begin anew with --fresh"
            )

    def set_aside(self) -> Path | None:
        """Makes room for a new sweep; the old one's folder is kept under another name. None where there was none."""
        if not self.folder.exists():
            return None
        now = datetime.datetime.now(datetime.timezone.utc)
        place = self.folder.with_name(f"{self.folder.name}.before-{now:%Y%m%dT%H%M%S%f}")
        return self.folder.rename(place)

    def launches(self) -> list[Made]:
        """In the order they were made. Raises InputError for a file that cannot be read."""
        return [_made(path) for path in self._launch_paths()]

    def add(self, made: Made) -> Path:
        path = self._path(made.number)
        write_atomically(path, _encoded(_told(made)))
        return path

    def next_number(self) -> int:
        return 1 + max((int(path.stem) for path in self._all_paths()), default=0)

    def forget(self, made: Sequence[Made]) -> None:
        """Takes launches out of the sweep, to be made again; their files are kept under launches/again/."""
        aside = self.folder / "launches" / "again"
        for each in made:
            aside.mkdir(parents=True, exist_ok=True)
            path = self._path(each.number)
            path.rename(aside / path.name)

    @property
    def _identity_path(self) -> Path:
        return self.folder / "sweep.json"

    def _path(self, number: int) -> Path:
        return self.folder / "launches" / f"{number:04d}.json"

    def _launch_paths(self) -> list[Path]:
        # By number, and what a killed write left behind is none of them.
        found = (path for path in (self.folder / "launches").glob("*.json") if path.stem.isdigit())
        return sorted(found, key=lambda path: int(path.stem))

    def _all_paths(self) -> Iterator[Path]:
        yield from self._launch_paths()
        yield from (path for path in (self.folder / "launches" / "again").glob("*.json") if path.stem.isdigit())


def _told(made: Made) -> dict[str, Any]:
    told: dict[str, Any] = {"schema": SCHEMA, "pass": made.pass_number, "scenarios": made.scenarios,
                            "wall_s": made.wall_s, "failed": made.failed}  # fmt: skip
    if made.record is not None:
        rounds = {
            scenario: [dict(sample.values()) for sample in samples] for scenario, samples in made.record.rounds.items()
        }
        told["record"] = {**{name: value for name, value in vars(made.record).items() if name != "rounds"},
                          "rounds": rounds}  # fmt: skip
    return told


def _made(path: Path) -> Made:
    told = _decoded(path)
    try:
        if told["schema"] != SCHEMA:
            raise InputError(f"{path}: schema {told['schema']}; this tokgate reads {SCHEMA}")
        record = None
        if told.get("record") is not None:
            rounds = {
                name: [ServingRound(values) for values in each] for name, each in told["record"]["rounds"].items()
            }
            record = LaunchRecord(**{**told["record"], "rounds": rounds})
        return Made(int(path.stem), int(told["pass"]), tuple(told["scenarios"]), float(told["wall_s"]), record,
                    told["failed"])  # fmt: skip
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(f"{path}: not a launch of a sweep: {type(error).__name__}: {error}; {_REMOVE}") from None


def _encoded(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"


def _decoded(path: Path) -> dict[str, Any]:
    try:
        told = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise InputError(f"{path}: not JSON: {error}; {_REMOVE}") from None
    if not isinstance(told, dict):
        raise InputError(f"{path}: not a launch of a sweep; {_REMOVE}")
    return told


def _plain(value: Any) -> Any:
    """As it is read back from JSON."""
    return json.loads(msgspec.json.encode(value))


def _changes(before: Any, now: Any, name: str = "") -> Iterator[str]:
    """What differs, by its path: "software.onnxruntime 1.30.0 -> 1.31.1"."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*before, *now]):
            yield from _changes(before.get(key, ABSENT), now.get(key, ABSENT), f"{name}.{key}" if name else key)
    elif before != now:
        yield f"{name} {_short(before)} -> {_short(now)}"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
