"""The page as a file: self-contained, and inert whatever a session file says."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nights import accepted, judged, night, nights, round_event
from unpack import Document, document, strings

from tokgate.report.html.page import render
from tokgate.report.html.report import report_page
from tokgate.session import Accuracy, Session

pytestmark = pytest.mark.unit

HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"><svg onload='alert(1)'>",
    "{{ 7 * 7 }}{% raw %}",
    "<!--<script>",
    "\u2028\u2029'\"`&amp;&lt;",
    '<a href="javascript:alert(1)">x</a>',
    "@pass",
    "__proto__",
)


def page_of(*sessions: Session, root: Path) -> Document:
    return document(render(report_page([judged(session, root) for session in sessions], "made by a test")))


def hostile(session: Session, text: str, valid: bool = True) -> Session:
    """`text` wherever a session file may hold any."""
    rows = [msgspec.structs.replace(row, group=f"g{text}") for row in session.rows]
    group = {"launches": [{"rounds": [round_event(session.rows[0].scenario, disturbed=text)]}]}
    return msgspec.structs.replace(
        session, id=f"id{text}".replace("/", ""), profile=f"p{text}", rows=rows, valid=valid,
        reasons=[] if valid else [f"x: {text}", text],
        machine={**session.machine, "recorded": {f"k{text}": text, "list": [text]}, "note": {"x": text}},
        software={f"s{text}": f"v{text}"}, provenance={"commit": text, "command": text, "clean": text},
        accuracy=[Accuracy(group=f"m.int8.{text}", reference=text, positions=4, top1_agreement=1.0, logit_distance=0.1,
                           max_logit_diff=0.1, real_weights=False)],
        telemetry={**session.telemetry, "groups": {f"g{text}": group}},
    )  # fmt: skip


def test_nothing_is_fetched(tmp_path: Path) -> None:
    """No element has an address but anchors within the page, and the policy forbids every fetch."""
    page = page_of(night("one"), root=tmp_path)
    assert not [value for _, name, value in page.attributes if name in ("src", "href", "action", "data", "srcset")]
    (policy,) = [value for _, name, value in page.attributes if name == "content" and "default-src" in value]
    assert "default-src 'none'" in policy
    assert "http" not in policy


def test_only_its_own_two_scripts_may_run(tmp_path: Path) -> None:
    page = page_of(night("one"), root=tmp_path)
    (policy,) = [value for _, name, value in page.attributes if name == "content" and "default-src" in value]
    allowed = set(re.findall(r"sha256-([A-Za-z0-9+/=]+)", policy))
    code = [script for name, script in page.scripts.items() if name.startswith("code-")]
    assert {base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in code} == allowed
    assert len(allowed) == 2
    assert "unsafe-eval" not in policy


@pytest.fixture(scope="module")
def mild(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Document]:
    """The page of harmless strings, valid and not."""
    root = tmp_path_factory.mktemp("mild")
    return {valid: page_of(hostile(night("one"), "harmless", valid), root=root) for valid in (True, False)}


@pytest.mark.parametrize("valid", [True, False])
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_strings_stay_text(text: str, valid: bool, mild: dict[bool, Document], tmp_path: Path) -> None:
    """The page has the same elements and attributes as with harmless strings, and shows the text as it is."""
    page = page_of(hostile(night("one"), text, valid), root=tmp_path)
    assert page.tags == mild[valid].tags
    assert page.scripts.keys() == mild[valid].scripts.keys()
    assert " ".join(f"v{text}".split()) in page.text
    assert any(text in said for said in strings(page.packed("part-0")))


@given(text=st.text(max_size=30))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_changes_the_elements_of_the_page(text: str, mild: dict[bool, Document], tmp_path: Path) -> None:
    assert page_of(hostile(night("one"), text, valid=False), root=tmp_path).tags == mild[False].tags


def figures(part: Any) -> list[dict[str, Any]]:
    """Every figure in a part."""
    if isinstance(part, dict):
        found = [part["figure"]] if "figure" in part else []
        return found + [figure for item in part.values() for figure in figures(item)]
    return [figure for item in part for figure in figures(item)] if isinstance(part, list) else []


def test_what_plotly_reads_as_markup_is_escaped(tmp_path: Path) -> None:
    """Plotly knows <b>, <br>, <a>, <sup> and entities in any text: of a file's strings none may be one."""
    page = page_of(hostile(night("one"), '<a href="https://evil.example">x</a>&lt;'), root=tmp_path)
    drawn = strings([figures(page.packed("part-0")), figures(page.packed("details"))])
    assert any("&lt;a href=" in text for text in drawn), "the string did reach the figures"
    tags = {tag for text in drawn for tag in re.findall(r"<[^>]*>", text)}
    assert tags <= {"<b>", "</b>", "<br>", "<extra>", "</extra>"}


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(round_=_JSON, work=_JSON, launch=_JSON, told=_JSON)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_telemetry_makes_a_page(round_: Any, work: Any, launch: Any, told: Any, tmp_path: Path) -> None:
    """Another tool's telemetry is not ours: what cannot be read is left out, and the page is made."""
    session = night("one")
    group = session.rows[0].group or ""
    rounds = [round_, {"scenario": round_, "total_s": 1.0, "use": told, "gpu": told, "server": told, "disturbed": told}]
    telemetry = {
        "work": {session.rows[0].scenario: work} if work != [] else work,
        "groups": {group: {"launches": [{"rounds": rounds}, launch]}, "other": told},
    }
    page_of(msgspec.structs.replace(session, telemetry=telemetry), root=tmp_path)


def test_the_newest_of_several_is_shown_first(tmp_path: Path) -> None:
    sessions = [night(f"night-{day}", day=day) for day in (3, 9, 5)]
    page = page_of(*sessions, root=tmp_path)
    options = [names for tag, names in page.tags if tag == "option"]
    assert ["selected" in names for names in options] == [False, False, True]
    assert page.packed("part-2"), "every session has its part"


def test_a_row_is_traced_to_its_file(tmp_path: Path) -> None:
    """Each chart and each table names the session file that it is of."""
    root = accepted(nights(), tmp_path)
    page = page_of(night("sixth", day=6), root=root)
    sections = page.packed("part-0")
    blocks = [block for section in sections for block in section["blocks"]]
    plain = [chart for block in blocks for chart in block.get("charts", [block])]
    assert len(plain) >= 8
    assert {block["source"] for block in plain} == {"sixth.json"}


def test_the_same_sessions_give_the_same_file(tmp_path: Path) -> None:
    facts = [judged(night("one"), tmp_path)]
    assert render(report_page(facts, "made")) == render(report_page(facts, "made"))


def test_plotly_is_bundled_with_its_licence(tmp_path: Path) -> None:
    page = page_of(night("one"), root=tmp_path)
    assert any("Licensed under the MIT license" in script for script in page.scripts.values())
