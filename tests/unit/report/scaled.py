"""Sessions for the tests of scaling: rows of one group on one GPU or several, with launches as they are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tokgate.session import Row, Session

BASE = "small-7b-dummy.vllm.fp16"
SHORT, LONG = "b1.p5.o50", "b50.p512.o512"


def scaled(name: str, gpus: int, speeds: Mapping[str, Sequence[float]], base: str = BASE, **changes: Any) -> Session:
    """`speeds`: tok/s by launch, by a row's shape; a token of 8 at once takes as long as they do."""
    group = base if gpus == 1 else f"{base}.tp{gpus}"
    rows = [
        Row(scenario=f"{group}.{shape}", metric=metric, unit=unit, better=better, gated=True, group=group,
            launches=[[value] for value in values])
        for shape, launches in speeds.items()
        for metric, unit, better, values in (
            ("output_throughput", "tok/s", "higher", list(launches)),
            ("tpot", "s", "lower", [8 / value for value in launches]),
        )
    ]  # fmt: skip
    stable = {"gpu_count": gpus, "gpu_name": "NVIDIA T4", "gpu_memory_mib": 15360}
    session = Session(
        schema=1, id=name, started="2026-11-01T03:00:00+00:00", profile="nightly", software={"vllm": "0.26.0"},
        valid=True, reasons=[], rows=rows,
        machine={"id": "nvidia-t4" if gpus == 1 else f"nvidia-t4-x{gpus}", "kind": "gpu", "stable": stable},
    )  # fmt: skip
    return msgspec.structs.replace(session, **changes)
