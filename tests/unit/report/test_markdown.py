"""Text from a session, which may hold anything, as Markdown and as workflow commands."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.report.markdown import code, command, fence, is_fence, table

pytestmark = pytest.mark.unit

HOSTILE = [
    "a | b", "a\nb", "```\n# heading", "`x`", "<img src=x onerror=alert(1)>", "</code>@everyone", "fixes #12",
    "[link](https://example.org)", "**bold**", "\u202eturned", "\x1b[31mred", "$(reboot)", "::error::x", "&#124;",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_code_says_the_text_and_holds_no_markup(text: str) -> None:
    shown = code(text)
    inner = shown.removeprefix("<code>").removesuffix("</code>")
    assert not re.search(r"[|`<>\n@#\[\]*_]", re.sub(r"&#?\w+;", "", inner))
    assert html.unescape(inner) == "".join(c if c.isprintable() else " " for c in text)


@given(st.text())
def test_a_cell_never_ends_its_row(text: str) -> None:
    lines = table(("a", "b"), [(code(text), "x")])
    assert len("\n".join(lines).splitlines()) == 3
    assert lines[-1].count("|") == 3


def test_a_long_text_is_cut_in_a_cell() -> None:
    assert len(html.unescape(code("x" * 10_000))) < 400


def test_nothing_is_an_empty_cell_and_no_rows_no_table() -> None:
    assert code("") == "" == code("  ")
    assert table(("a",), []) == []
    assert fence([]) == []


@given(st.lists(st.text(alphabet="`~ab\n\r\u2028 text"), min_size=1).filter(lambda lines: any(map(str.strip, lines))))
def test_a_fence_ends_where_it_should(lines: list[str]) -> None:
    found = fence(lines)
    assert is_fence(found[0])
    bar = found[-1]
    assert found[0] == f"{bar}text"
    # CommonMark: a line of at least as many marks closes it.
    assert not [line for line in found[1:-1] if re.fullmatch(rf" {{0,3}}`{{{len(bar)},}} *", line)]
    assert len("\n".join(found).splitlines()) == len(found)


@given(st.text(), st.text())
def test_a_command_is_one_line_and_its_title_ends_where_it_should(title: str, message: str) -> None:
    line = command("error", title, message)
    assert len(line.splitlines()) == 1
    properties, _, _ = line.removeprefix("::error title=").partition("::")
    assert not set(properties) & set(":,")


def test_a_command_says_what_was_meant() -> None:
    line = command("error", "a: 50%, b", "100% slower\nthan ever: look")
    assert line == "::error title=a%3A 50%25%2C b::100%25 slower%0Athan ever: look"
