"""What is written as TOML is read back as it was."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate import tomltext

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

pytestmark = pytest.mark.unit

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = st.one_of(st.booleans(), st.integers(-(2**62), 2**62), st.floats(allow_nan=False), TEXTS)
VALUES = st.recursive(SCALARS, lambda inner: st.one_of(st.lists(inner), st.dictionaries(TEXTS, inner)), max_leaves=8)


@given(st.dictionaries(TEXTS, VALUES, max_size=4))
def test_a_table_comes_back(entries: dict[str, Any]) -> None:
    assert tomllib.loads(tomltext.table("some.table", entries)) == {"some": {"table": entries}}


def test_what_toml_cannot_say_is_refused() -> None:
    with pytest.raises(TypeError, match="None has no place in TOML"):
        tomltext.value(None)
