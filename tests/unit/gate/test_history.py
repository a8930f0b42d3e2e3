from __future__ import annotations

from datetime import datetime, timezone

import pytest

from gate.examples import GROUP, accuracy, make_row, make_session
from tokgate.errors import InputError
from tokgate.gate.history import StoredRow, accuracy_for, moment

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-21T03:00:00Z",
        "2026-11-21T03:00:00.000Z",
        "2026-11-21T04:00:00.000000000+01:00",
        "2026-11-21T03:00:00.0+00:00",
        "2026-11-21 03:00:00",
    ],
)
def test_rfc_3339_is_read_alike_by_every_python(text):
    assert moment(text, "session 'a'") == datetime(2026, 11, 21, 3, tzinfo=timezone.utc)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01T00:00:00Z"])
def test_what_is_no_time_is_refused_by_name(text):
    with pytest.raises(InputError, match="session 'a' has started"):
        moment(text, "session 'a'")


def test_a_stored_row_keeps_one_value_a_launch():
    row = StoredRow.of(make_row([[1.0, 5.0, 3.0], [2.0, 4.0]]))
    assert row.launches == [3.0, 3.0]


def test_a_scenario_has_the_accuracy_of_its_longest_group():
    plain, nospin = accuracy(), accuracy(group=f"{GROUP}.nospin")
    session = make_session(0, [make_row([[1]])], accuracy=[plain, nospin])
    assert accuracy_for(session, f"{GROUP}.b1.p5.o50") == plain
    assert accuracy_for(session, f"{GROUP}.nospin.b1.p5.o50") == nospin
    assert accuracy_for(session, "tiny.onnx.fp32.b1.p5.o50") is None
    assert accuracy_for(session, "elsewhere.b1", group=GROUP) == plain
