"""How a node's sessions are told apart."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.examples import session
from tokgate.fleet.measured import label, scenarios_of
from tokgate.session import Session

pytestmark = pytest.mark.unit


def tried(*groups: str, **telemetry: Any) -> Session:
    """Groups of which none gave a row."""
    found = session(
        telemetry={"groups": {group: {} for group in groups}, **telemetry}, valid=False, reasons=["disturbed"]
    )
    found.rows.clear()
    return found


@pytest.mark.parametrize(
    ("groups", "told"),
    [
        ([], ""),
        (["q0.5b.vllm.fp16"], "q0.5b.vllm.fp16"),
        (["q0.5b.vllm.fp16", "q0.5b.vllm.int8"], "q0.5b.vllm (fp16, int8)"),
        (["q.vllm.fp16", "q.vllm.fp16.tp2"], "q.vllm (fp16, fp16.tp2)"),
        (["q.vllm.fp16", "m.vllm.fp16"], "q.vllm.fp16, m.vllm.fp16"),
        (["q.a", "q.b", "q.c", "q.d", "q.e"], "q (a, b, c and 2 more)"),
    ],
)
def test_groups_are_told_with_what_they_share_once(groups: list[str], told: str) -> None:
    assert label(tried(*groups)) == told


def test_rows_tell_the_group_where_telemetry_does_not() -> None:
    assert label(session()) == "tiny-dummy.onnx.int8"
    assert label(session(telemetry={"groups": ["of", "another", "schema"], "work": 3})) == "tiny-dummy.onnx.int8"


def test_a_scenario_without_a_row_was_tried() -> None:
    assert scenarios_of(tried("q.vllm.fp16", work={"q.vllm.fp16.b1.p5.o50": {}})) == {"q.vllm.fp16.b1.p5.o50"}
    assert scenarios_of(session(telemetry={"work": 3})) == {row.scenario for row in session().rows}
