"""The file of a sweep: what is measured, its settings as grids, and what the winner has to keep.

device = "cpu"                        # or gpu, with `gpus`
model = "qwen2.5-0.5b-instruct"
engine = "onnx"                       # onnx, transformers, vllm, serve
precision = "fp32"                    # or in a grid
row = "1x32->64"                      # as in a matrix: batch x prompt -> output; of a server "c50x512->512"
launches = 4                          # fresh processes for each setting, one in each pass
rounds = 2
objective = "output_throughput"       # any metric of the engine
[settings]                            # the engine's, of all
[[grid]]                              # every combination; several grids are measured together
batch = [1, 8]                        # of a server: concurrency
threads = ["default", 1]              # "default": not set, the engine chooses
[[constraint]]
metric = "p99_ttft"
max = 2000
unit = "ms"
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from tokgate import tomltext
from tokgate.engine_settings import KNOWN
from tokgate.errors import InputError, unknown
from tokgate.gate.limits import SECONDS, check_key
from tokgate.given import check_values
from tokgate.metrics import Metric, metrics_of
from tokgate.plan import Device
from tokgate.session import check_slug
from tokgate.sweep.constraints import Constraint
from tokgate.sweep.grid import DEFAULT, choices

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MOST_SETTINGS = 100
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Keys of a grid that are not the engine's settings.
PRECISION, BATCH, CONCURRENCY = "precision", "batch", "concurrency"
# A service over an engine is another thing than the engine, and not swept.
_NOT_SWEPT = ("service",)

Engine = Literal["onnx", "transformers", "vllm", "serve"]


class _Constraint(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    metric: str
    min: float | None = None
    max: float | None = None
    unit: str | None = None


class Spec(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The file as it stands."""

    device: Device
    model: str
    engine: Engine
    row: str
    grid: list[dict[str, list[Any]]]
    precision: str | None = None
    launches: int = 3
    rounds: int = 2
    gpus: int = 1
    num_prompts: int | None = None
    weights: Literal["full", "skeleton"] = "full"
    variants: list[str] = []
    objective: str = "output_throughput"
    settings: dict[str, Any] = {}
    constraint: list[_Constraint] = []


@dataclass(frozen=True)
class Sweep:
    """A file that was understood. `choices`: of each setting, in order, what the grids chose."""

    name: str
    path: Path
    spec: Spec
    objective: Metric
    constraints: tuple[Constraint, ...]
    choices: tuple[Mapping[str, Any], ...]

    @property
    def at_once(self) -> str:
        """How a grid names the number of sequences at once."""
        return CONCURRENCY if self.spec.engine == "serve" else BATCH


def read_sweep(path: Path) -> Sweep:
    """Raises InputError, naming the place."""
    spec = _read(path)
    if spec.launches < 2 or spec.rounds < 1:
        raise InputError(
            f"{path}: launches = {spec.launches}, rounds = {spec.rounds}; expected 2 launches or more of at least one "
            "round: of one launch nobody knows how far it is off"
        )
    _check_grids(path, spec)
    # The file's precision is that of every grid without one: two that say the same are one setting.
    usual = {} if spec.precision is None else {PRECISION: [spec.precision]}
    found = choices({**usual, **grid} for grid in spec.grid)
    if not 2 <= len(found) <= MOST_SETTINGS:
        advice = "a ranking needs two" if len(found) < 2 else "leave values out, or name the combinations in [[grid]]s"
        raise InputError(f"{path}: {len(found)} settings; expected 2 to {MOST_SETTINGS}: {advice}")
    for choice in found:
        if PRECISION not in choice and spec.precision is None:
            raise InputError(f"{path}: no precision; give one at the top, or several in each [[grid]]")
    return Sweep(
        name=check_slug(f"{path}: its name", path.stem),
        path=path,
        spec=spec,
        objective=_metric(spec.objective, spec.engine, f"{path}: objective"),
        constraints=tuple(
            _constraint(each, spec.engine, f"{path}: constraint {number}")
            for number, each in enumerate(spec.constraint, 1)
        ),
        choices=tuple(found),
    )


def _read(path: Path) -> Spec:
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not TOML: {error}") from None
    for name in data:
        check_key(name, Spec.__struct_fields__, str(path))
    try:
        return msgspec.convert(data, Spec)
    except msgspec.ValidationError as error:
        raise InputError(f"{path}: {error}") from None


def _check_grids(path: Path, spec: Spec) -> None:
    if not spec.grid:
        raise InputError(f"{path}: no [[grid]]; expected at least one, with a list of values for each of its keys")
    for name in spec.settings:
        _check_setting(name, spec.settings[name], f"{path}: settings")
        _check_known(name, spec.engine, f"{path}: settings")
        _check_value(name, spec.settings[name], spec.engine, f"{path}: settings")
    at_once, other = (CONCURRENCY, BATCH) if spec.engine == "serve" else (BATCH, CONCURRENCY)
    for number, grid in enumerate(spec.grid, 1):
        place = f"{path}: grid {number}"
        for name, values in grid.items():
            if name == other:
                raise InputError(f"{place}: {other}; with engine {spec.engine} its name is {at_once}")
            if name in spec.settings:
                raise InputError(f"{place}: {name} stands in [settings] too; leave it in one of the two")
            if not values:
                raise InputError(f"{place}: {name} = [] has no value; leave the key out, or give it values")
            for value in values:
                _check_setting(name, value, place)
                _check_value(name, value, spec.engine, place)
                if name == at_once and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                    raise InputError(f"{place}: {name} holds {value!r}; expected whole numbers from 1 up")
                if name == PRECISION and not isinstance(value, str):
                    raise InputError(f"{place}: {name} holds {value!r}; expected names such as 'int8'")
            if name not in (PRECISION, at_once):
                _check_known(name, spec.engine, place)


def _check_setting(name: str, value: Any, place: str) -> None:
    if name in _NOT_SWEPT:
        raise InputError(f"{place}: {name} is not swept; a sweep is of an engine, or of vLLM's server")
    if not _NAME.fullmatch(name):
        meant = name.replace("-", "_")
        hint = f": did you mean {meant!r}?" if _NAME.fullmatch(meant) else ""
        raise InputError(f"{place}: {name!r} is no setting's name; expected letters, digits and '_'{hint}")
    try:
        tomltext.value(value)
    except TypeError:
        raise InputError(
            f"{place}: {name} holds {value!r}; expected a text, number, true, false, list or table"
        ) from None


def _check_known(name: str, engine: str, place: str) -> None:
    known = KNOWN.get(engine)
    if known is not None and name not in known:
        raise InputError(f"{place}: {unknown(f'setting of engine {engine}', name, sorted(known))}")


def _check_value(name: str, value: Any, engine: str, place: str) -> None:
    # What engine has no such setting says _check_known, or vLLM itself.
    if value != DEFAULT and name in KNOWN.get(engine, (name,)):
        check_values({name: value}, place)


def _metric(name: str, engine: str, place: str) -> Metric:
    known = {metric.name: metric for metric in metrics_of(engine)}
    if name in known:
        return known[name]
    others = [other for other in get_args(Engine) if name in (metric.name for metric in metrics_of(other))]
    of_others = f"; {name} is of engine {' and '.join(others)}" if others else ""
    raise InputError(f"{place}: {unknown(f'metric of engine {engine}', name, list(known))}{of_others}")


def _constraint(given: _Constraint, engine: str, place: str) -> Constraint:
    metric = _metric(given.metric, engine, place)
    if (given.min is None) == (given.max is None):
        raise InputError(f"{place}: expected one of min and max")
    bound, limit = ("min", given.min) if given.min is not None else ("max", given.max)
    assert limit is not None
    unit = given.unit or metric.unit
    if unit != metric.unit and not (unit in SECONDS and metric.unit in SECONDS):
        raise InputError(f"{place}: {metric.name} in {unit!r}; expected {metric.unit!r}")
    if not 0 < limit < float("inf"):
        raise InputError(f"{place}: {bound} is {limit:g}; expected a number above 0")
    factor = 1.0 if unit == metric.unit else SECONDS[unit] / SECONDS[metric.unit]
    return Constraint(metric, "min" if bound == "min" else "max", limit * factor, f"{limit:g} {unit}")
