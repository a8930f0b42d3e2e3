"""The session file: what one run measured on one machine, and whether it may be believed.

A session is self-contained. `tokgate accept` and `tokgate judge` need nothing else: no git checkout, no
scenario file, no engine.
"""

from __future__ import annotations

import math
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from tokgate import tomltext
from tokgate.errors import InputError
from tokgate.outputs import behind

# Version history of the session file:
#   1  the first: rows with launches, machine fingerprint, software, accuracy, validity
SCHEMA = 1

_EXPECTED = (
    "expected a session (.tokgate/sessions/*.json) or the pytest-benchmark file of a measuring run; what vllm bench "
    "serve --save-result wrote is taken, with --machine ID, by tokgate judge, tokgate summary and tokgate report -o"
)
_SLUG = re.compile(r"[a-z0-9][a-z0-9._-]*")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}")
Better = Literal["higher", "lower"]


class Row(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One metric of one scenario: its values by launch, and by iteration within a launch.

    Durations are in seconds; `unit` says what a value is. `confirm` holds the fresh launches made because
    the row was slower than the accepted sessions; `pairs` holds [reference, candidate] launch values of a paired
    comparison.
    """

    scenario: str
    metric: str
    unit: str
    better: Better
    gated: bool
    launches: list[list[float]]
    tolerance_pct: float | None = None
    margin_pct: float | None = None
    group: str | None = None
    pairs: list[list[float]] | None = None
    confirm: list[list[float]] | None = None

    @property
    def key(self) -> tuple[str, str]:
        return self.scenario, self.metric


class Accuracy(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """How far a group's outputs are from the FP32 reference on the same weights.

    `top1_agreement`: share of positions with the same argmax, 0 to 1. `logit_distance`: RMS of the logit
    differences over the RMS of the reference's centred logits. `max_logit_diff`: the largest difference.
    """

    group: str
    reference: str
    positions: int
    top1_agreement: float
    logit_distance: float
    max_logit_diff: float
    real_weights: bool


class Session(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One run on one machine. `reasons` says why it is not valid; a valid session has none.

    `given`: settings of the engine that were measured in place of those its rows' ids stand for: such a session is
    judged, and never accepted.
    """

    schema: int
    id: str
    started: str
    profile: str
    machine: dict[str, Any]
    software: dict[str, str]
    valid: bool
    reasons: list[str]
    rows: list[Row]
    family_size: int | None = None
    accuracy: list[Accuracy] = msgspec.field(default_factory=list)
    provenance: dict[str, Any] = msgspec.field(default_factory=dict)
    telemetry: dict[str, Any] = msgspec.field(default_factory=dict)
    given: dict[str, Any] = msgspec.field(default_factory=dict)

    @property
    def machine_id(self) -> str:
        return str(self.machine["id"])

    @property
    def machine_kind(self) -> str:
        return str(self.machine["kind"])

    @property
    def gated_family(self) -> int:
        """How many gated rows the whole profile has, whatever was selected (at least those present)."""
        return max(self.family_size or 0, sum(row.gated for row in self.rows), 1)


def check_slug(what: str, value: object) -> str:
    """Returns `value` if it can be a file name of the store, else raises InputError."""
    if not isinstance(value, str) or not _SLUG.fullmatch(value) or ".." in value:
        raise InputError(
            f"{what} is {value!r}; expected lower-case letters, digits, '.', '_' and '-' "
            "(it names a file under baselines/)"
        )
    return value


def validate(session: Session) -> Session:
    """Returns the session if it is consistent, else raises InputError naming the first fault."""
    if session.schema > SCHEMA:
        raise InputError(
            f"session {session.id!r} has schema {session.schema}; this tokgate reads up to {SCHEMA}: upgrade tokgate"
        )
    if session.schema < 1:
        raise InputError(f"session {session.id!r} has schema {session.schema}; expected {SCHEMA}")
    if not session.id or "/" in session.id:
        raise InputError(f"a session has the id {session.id!r}; expected a name without '/': it names its file")
    if session.family_size is not None and session.family_size < 0:
        raise InputError(f"session {session.id!r}: family_size is {session.family_size}; expected a count of rows")
    check_slug("machine.id", session.machine.get("id"))
    if session.machine.get("kind") not in ("cpu", "gpu"):
        raise InputError(f"machine.kind is {session.machine.get('kind')!r}; expected 'cpu' or 'gpu'")
    if session.valid and session.reasons:
        raise InputError(f"session {session.id!r} is marked valid and yet gives reasons: {session.reasons}")
    if not session.valid and not session.reasons:
        raise InputError(f"session {session.id!r} is marked invalid and gives no reason")
    if not _TIME.match(session.started):
        raise InputError(f"session {session.id!r} started at {session.started!r}; expected an RFC 3339 time")
    try:
        tomltext.pairs(session.given)
    except TypeError as error:
        raise InputError(f"session {session.id!r} was given a setting that no engine has: {error}") from None
    for entry in session.accuracy:
        _validate_accuracy(entry)
    seen: set[tuple[str, str]] = set()
    for row in session.rows:
        _validate_row(row)
        if row.key in seen:
            raise InputError(f"row {row.scenario} {row.metric} stands twice in session {session.id!r}")
        seen.add(row.key)
    if session.valid and not session.rows:
        raise InputError(f"session {session.id!r} is marked valid and measured nothing: it has no rows")
    return session


def _validate_accuracy(entry: Accuracy) -> None:
    if not 0 <= entry.top1_agreement <= 1 or entry.positions < 1:
        raise InputError(f"accuracy of {entry.group}: agreement {entry.top1_agreement} in {entry.positions} positions")
    if not all(math.isfinite(value) and value >= 0 for value in (entry.logit_distance, entry.max_logit_diff)):
        raise InputError(f"accuracy of {entry.group} holds a distance that is not a finite number from 0 up")


def _validate_row(row: Row) -> None:
    check_slug("a row's scenario", row.scenario)
    name = f"row {row.scenario} {row.metric}"
    if not row.launches or not all(row.launches):
        raise InputError(f"{name} has a launch without values: nothing was measured there")
    launches = [*row.launches, *(row.confirm or []), *(row.pairs or [])]
    if not all(launches) or row.confirm == [] or row.pairs == []:
        raise InputError(f"{name} has an empty list of fresh launches or pairs; leave it out where there were none")
    for value in (value for launch in launches for value in launch):
        if not (math.isfinite(value) and value > 0):
            raise InputError(f"{name} holds the value {value}; every value must be finite and above 0")
    for limit in ("tolerance_pct", "margin_pct"):
        value_pct = getattr(row, limit)
        if value_pct is not None and not 0 <= value_pct < 100:
            raise InputError(f"{name} has {limit} {value_pct}; expected 0 to 100")
    if any(len(pair) != 2 for pair in row.pairs or []):
        raise InputError(f"{name}: each of its pairs must be [reference, candidate]")


def from_builtins(data: object, source: str) -> Session:
    """A session from decoded JSON; `source` names it in errors. Raises InputError."""
    try:
        schema = data.get("schema") if isinstance(data, dict) else None
        if isinstance(schema, int) and schema > SCHEMA:
            raise InputError(f"{source}: schema {schema}; this tokgate reads up to {SCHEMA}: upgrade tokgate")
        return validate(msgspec.convert(data, Session))
    except msgspec.ValidationError as error:
        # Of a session that has one, the field is what is wrong; else it is the file.
        expected = "" if isinstance(data, dict) and "schema" in data else f"; {_EXPECTED}"
        raise InputError(f"{source}: not a tokgate session: {error}{expected}") from None
    except InputError as error:
        raise InputError(str(error) if str(error).startswith(source) else f"{source}: {error}") from None


def read(path: Path) -> Session:
    """Reads a session file, or the session inside a pytest-benchmark file ("tokgate"). Raises InputError, as for a
    file that holds several sessions.
    """
    found = read_all(path)
    if len(found) > 1:
        raise several(path, found)
    return found[0]


def several(path: Path, found: Sequence[Session]) -> InputError:
    """Says that `path` holds several sessions where one is wanted, and what to name instead."""
    ids = ", ".join(each.id for each in found)
    return InputError(
        f"{path}: it holds {len(found)} sessions, those of a run over several matrices, and one is wanted here: {ids}; "
        f"name the file of one, as .tokgate/sessions/{found[0].id}.json (the folder is that of pytest's "
        "--perf-sessions)"
    )


def read_all(path: Path) -> list[Session]:
    """Reads a session file, or all sessions inside a pytest-benchmark file: "tokgate" is one, or a list of those of a
    run over several matrices. At least one; raises InputError.
    """
    try:
        data = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise InputError(f"{path}: not JSON: {error}") from None
    except RecursionError:
        raise InputError(f"{path}: its JSON is nested too deeply to be a session") from None
    if isinstance(data, dict) and "tokgate" in data and "benchmarks" in data:
        data = data["tokgate"]
        if isinstance(data, list):
            if not data:
                raise InputError(f'{path}: its list of sessions, "tokgate", is empty; {_EXPECTED}')
            return [
                from_builtins(each, f"{path}: session {number} of {len(data)}") for number, each in enumerate(data, 1)
            ]
    return [from_builtins(data, str(path))]


def write(session: Session, folder: Path) -> Path:
    """Writes `<folder>/<id>.json` whole or not at all, and returns its path."""
    validate(session)
    path = folder / f"{session.id}.json"
    write_atomically(path, msgspec.json.format(msgspec.json.encode(session), indent=1) + b"\n")
    return path


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file so that a reader, a kill or a full disk never sees half of it. An OSError names `path` itself.

    A link stays one, and what it leads to is written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        _replace(behind(path), content)
    except OSError as error:
        # Not the temporary file, which is gone by then and which nobody asked for.
        raise OSError(error.errno, error.strerror, str(path)) from None


def _replace(path: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
