"""Reads what `vllm bench serve --save-result` writes, and `tokgate bench serve` with it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath
from typing import Any, TypeGuard

from tokgate.errors import InputError

# Keys that it has always written; a file with most of them is one, perhaps a damaged one.
MARKS = ("num_prompts", "max_concurrency", "completed", "total_output_tokens", "output_throughput")
STATISTICS = ("mean", "median", "p99")
LATENCIES = ("ttft", "tpot", "itl", "e2el")
_LATENCY_KEY = re.compile(rf"(mean|median|p[0-9.]+)_({'|'.join(LATENCIES)})_ms")
DATE_FORMAT = "%Y%m%d-%H%M%S"
# Files are shown with their long lists cut, and the cut marked as the last entry.
CUT_MARK = "..."
_LARGEST = 1e15


@dataclass(frozen=True)
class Details:
    """What --save-detailed adds, one a request; empty where the file has none, shorter where somebody cut them."""

    errors: tuple[str, ...] = ()
    output_lens: tuple[int, ...] = ()
    ttfts_s: tuple[float, ...] = ()


@dataclass(frozen=True)
class VllmFile:
    """One file. `failed` is None where an older vLLM did not say; `pacing` is empty where all requests were due at
    once. `latencies_ms`: "p99_ttft" and its like, for the statistics that the file has. Token totals are over the
    completed requests. `client_fault`: why the client cannot be believed, where tokgate wrote the file and says so;
    `by_tokgate`: whether it did.
    """

    name: str
    model: str
    date: str
    num_prompts: int
    max_concurrency: int | None
    pacing: str
    completed: int
    failed: int | None
    duration_s: float
    total_input_tokens: int
    total_output_tokens: int
    output_throughput: float
    request_throughput: float
    latencies_ms: Mapping[str, float]
    details: Details
    client_fault: str = ""
    by_tokgate: bool = False

    @property
    def mean_prompt_len(self) -> float:
        """Tokens of a completed prompt, on average; 0 where none was completed."""
        return self.total_input_tokens / self.completed if self.completed else 0.0


def is_vllm_file(data: object) -> bool:
    """Whether decoded JSON is such a file, whole or not."""
    return isinstance(data, dict) and sum(key in data for key in MARKS) >= 3


def parse(data: Mapping[str, Any], source: str) -> VllmFile:
    """Reads decoded JSON; `source` is its path. Raises InputError for a value that no such file can have."""
    file = _Keys(data, source)
    errors = file.list_of("errors", str)
    if errors and errors[-1].startswith(CUT_MARK):
        del errors[-1]
    details = Details(
        tuple(errors),
        tuple(file.list_of("output_lens", int)),
        tuple(file.list_of("ttfts", float)),
    )
    # Whatever percentiles were asked for; a standard deviation may well be 0.
    keys = [key.removesuffix("_ms") for key in data if isinstance(key, str) and _LATENCY_KEY.fullmatch(key)]
    return VllmFile(
        name=PurePath(source).name,
        model=file.text("model_id"),
        date=file.date(),
        num_prompts=file.count("num_prompts", least=1),
        max_concurrency=file.count("max_concurrency", least=1) if file.has("max_concurrency") else None,
        pacing=file.pacing(),
        completed=file.count("completed"),
        failed=file.count("failed") if file.has("failed") else None,
        duration_s=file.number("duration", above_0=True),
        total_input_tokens=file.count("total_input_tokens"),
        total_output_tokens=file.count("total_output_tokens"),
        output_throughput=file.number("output_throughput"),
        request_throughput=file.number("request_throughput") if file.has("request_throughput") else 0.0,
        latencies_ms={key: file.number(f"{key}_ms") for key in keys if file.has(f"{key}_ms")},
        details=details,
        client_fault=file.client_fault(),
        by_tokgate=isinstance(data.get("tokgate"), dict),
    )


@dataclass(frozen=True)
class _Keys:
    """Typed access to decoded JSON; an InputError names the file, the key and the value."""

    data: Mapping[str, Any]
    source: str

    def has(self, key: str) -> bool:
        """Whether the key has a value; null is what vLLM writes for none."""
        return self.data.get(key) is not None

    def text(self, key: str) -> str:
        value = self.data.get(key)
        if value is not None and not isinstance(value, str):
            raise self._error(key, "a text")
        return value or ""

    def date(self) -> str:
        value = self.text("date")
        try:
            return value and datetime.strptime(value, DATE_FORMAT).strftime(DATE_FORMAT)
        except ValueError:
            raise self._error("date", "a time as 20261121-100956") from None

    def number(self, key: str, above_0: bool = False) -> float:
        value = self.data.get(key)
        if not _is_number(value) or (above_0 and value == 0):
            raise self._error(key, "a number above 0" if above_0 else "a number from 0 up")
        return float(value)

    def count(self, key: str, least: int = 0) -> int:
        value = self.data.get(key)
        if not _is_number(value) or not isinstance(value, int) or value < least:
            raise self._error(key, f"a whole number from {least} up")
        return value

    def list_of(self, key: str, kind: type) -> list[Any]:
        values = self.data.get(key)
        if values is None:
            return []
        if not isinstance(values, list):
            raise self._error(key, "a list")
        found = ["" if value is None and kind is str else value for value in values]
        wrong = [value for value in found if not _is_item(value, kind)]
        if wrong:
            what = "texts" if kind is str else "numbers from 0 up"
            raise InputError(f"{self.source}: {key} holds {wrong[0]!r}; expected {what}")
        return found

    def pacing(self) -> str:
        """How requests were spread over time; vLLM writes the text "inf" for not at all."""
        if self.has("ramp_up_strategy"):
            return f"a {self.text('ramp_up_strategy')} ramp-up"
        if not self.has("request_rate") or self.data["request_rate"] in ("inf", math.inf):
            return ""
        return f"--request-rate {self.number('request_rate', above_0=True):g}"

    def client_fault(self) -> str:
        own = self.data.get("tokgate")
        return str(own.get("client_fault") or "") if isinstance(own, dict) else ""

    def _error(self, key: str, expected: str) -> InputError:
        seen = f"{key} is {self.data[key]!r}" if key in self.data else f"there is no {key}"
        return InputError(f"{self.source}: {seen}; expected {expected}, as vllm bench serve --save-result writes it")


def _is_number(value: object) -> TypeGuard[float]:
    """Whether it is a number from 0 up: a comparison with nan is false, so nan is none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= _LARGEST


def _is_item(value: object, kind: type) -> bool:
    if kind is str:
        return isinstance(value, str)
    return _is_number(value) and (kind is float or isinstance(value, int))
