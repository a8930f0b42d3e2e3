from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokgate.errors import InputError
from tokgate.gate.canonical import digest, seal, unseal

pytestmark = pytest.mark.unit

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
PAYLOADS = st.dictionaries(
    st.text(),
    st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10),
)
EXAMPLE = {"machine": "m", "sessions": [{"id": "a", "launches": [30.5, 29.25], "reason": "first nights"}]}


@settings(max_examples=40, deadline=None)
@given(PAYLOADS)
def test_a_sealed_payload_comes_back(payload):
    content = seal(payload)
    assert unseal(content, "f") == payload
    assert content.endswith(b"\n")
    assert seal(unseal(content, "f")) == content


def test_the_file_is_laid_out_for_a_diff():
    lines = seal(EXAMPLE).decode().splitlines()
    assert '    "launches": [30.5, 29.25],' in lines
    assert json.loads("\n".join(lines))["sha256"] == digest(EXAMPLE)


@settings(max_examples=300)
@given(st.data())
def test_no_changed_byte_goes_unseen(data):
    """Every change of a byte is refused, unless it leaves the very same payload (white space)."""
    content = bytearray(seal(EXAMPLE))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] = data.draw(st.integers(0, 255))
    try:
        payload = unseal(bytes(content), "f")
    except InputError:
        return
    assert payload == EXAMPLE


@settings(max_examples=50)
@given(st.integers(0, 10_000))
def test_half_a_file_is_refused(length):
    content = seal(EXAMPLE)
    with pytest.raises(InputError, match="tokgate accept"):
        unseal(content[: min(length, len(content) - 2)], "f")


def resealed(**changes):
    return json.dumps({**json.loads(seal(EXAMPLE)), **changes}).encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (resealed(schema=2), "upgrade tokgate"),
        (resealed(schema=0), "expected 1"),
        (resealed(schema=True), "expected 1"),
        (resealed(note="by hand"), "expected the keys"),
        (resealed(payload=[1]), "edited or damaged"),
        (b"[]", "expected the keys"),
        (b'{"schema": 1, "sha256": "", "payload": {"a": NaN}}', "NaN"),
        (b'{"schema": 1, "sha256": "", "payload": {"a": 1e999}}', "not finite"),
        (b"\xff", "not JSON"),
    ],
)
def test_a_file_that_accept_did_not_write_is_refused_by_name(content, message):
    with pytest.raises(InputError, match=message) as error:
        unseal(content, "baselines/m/s.json")
    assert str(error.value).startswith("baselines/m/s.json: ")
