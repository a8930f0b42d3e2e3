"""A sweep's page in a real browser, with names in it that would do harm as markup."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from shown import HOSTILE, PHONE, Shown, cells, check_dark, check_phone

from tests.unit.sweep.pages import page_of
from tokgate.report.html.publish import publish

pytestmark = [pytest.mark.e2e, pytest.mark.beside]

# As a browser shows it: a line separator is none.
TOLD = HOSTILE.split("\u2028")[0]
SETTINGS = [f"#{number} n={number}" for number in (1, 2, 3, 4, 9)]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep-page")
    return publish(page_of(folder, HOSTILE), folder / "sweep.html")


@pytest.fixture(params=[{}, {"color_scheme": "dark", **PHONE}], ids=["desk", "dark phone"])
def shown(browser: Any, page: Path, request: pytest.FixtureRequest) -> Iterator[Shown]:
    shown = Shown(browser, page, **request.param)
    shown.scroll_through()
    yield shown
    shown.close()


def test_every_chart_is_drawn_without_a_complaint_or_a_request(shown: Shown, page: Path) -> None:
    plots = shown.page.locator(".plot")
    assert plots.count() == 3
    for plot in plots.all():
        assert plot.locator(".main-svg").count(), "plotly drew it"
        assert plot.locator(".trace").count(), "and it holds something"
    assert shown.complaints == []
    assert shown.fetched == {page.as_uri()}


def test_the_front_has_a_sign_for_every_setting_that_was_measured(shown: Shown) -> None:
    front = shown.page.locator("section#front .scatterlayer")
    assert front.locator(".point").count() == 4, "not of the one that failed"
    assert "".join(front.locator(".textpoint").all_text_contents()) == "#1#2#3#4"
    joined = front.locator(".js-line")
    assert joined.count() == 1, "those that no other beats are joined"
    assert joined.get_attribute("d").count("V") == 1, "there are two of them, one above the other"


def test_the_table_holds_every_setting_with_its_verdict(shown: Shown) -> None:
    table = shown.page.locator(".table").first
    assert [text.split("<")[0] for text in cells(table, 1)] == SETTINGS
    assert [text.split()[-1] for text in cells(table, 2)] == ["BEST", "LEVEL", "BEHIND", "BREAKS", "FAILED"]
    table.locator("button.open").first.click()
    assert "1 of 4 launches failed" in shown.page.locator("tr.detail").inner_text()


def test_hostile_names_are_shown_and_do_nothing(shown: Shown) -> None:
    for row in shown.page.locator(".table button.open").all():
        row.click()
    assert shown.page.locator("img").count() == 0
    assert shown.page.locator("a[href^='javascript'], svg a").count() == 0
    assert TOLD in shown.page.locator("h1").inner_text(), "the best one's name"
    assert TOLD in shown.page.locator(".table").first.inner_text()
    assert shown.complaints == []


def test_dark_follows_the_system_and_the_button(browser: Any, page: Path) -> None:
    check_dark(browser, page)


def test_a_phone_needs_no_sideways_scrolling(browser: Any, page: Path) -> None:
    """However long the names."""
    check_phone(browser, page)
