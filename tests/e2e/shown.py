"""Pages in a real browser: one that is open, what it complained of, and names that would do harm as markup."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

HOSTILE = "</script><img src=x onerror=alert(1)><a href='javascript:alert(1)'>x</a>&lt;b&gt;\u2028"
PHONE = {"viewport": {"width": 375, "height": 800}, "is_mobile": True, "has_touch": True}
DARK = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).every((part) => part < 60)"
LIGHT_INK = "getComputedStyle(document.querySelector('.plot text')).fill.match(/\\d+/g)[0] > 150"
WIDTH = "document.documentElement.scrollWidth"


class Shown:
    """A page that is open, and what its browser complained of."""

    def __init__(self, browser: Any, path: Path, **how: Any) -> None:
        self._context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **how})
        self.page = self._context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append("a dialog"), dialog.dismiss()))
        self.page.on("request", lambda request: self.requests.append(request.url))
        started = time.monotonic()
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("html[data-part-shown]", state="attached")
        self.opened_s = time.monotonic() - started

    def scroll_through(self) -> None:
        """So that every chart comes into view, and is drawn."""
        for plot in self.page.locator(".plot").all():
            plot.scroll_into_view_if_needed()
            plot.locator("xpath=self::*[@data-drawn]").wait_for(state="attached")

    @property
    def fetched(self) -> set[str]:
        """What was asked for, the page itself among it."""
        return {url for url in self.requests if not url.startswith(("data:", "blob:"))}

    def close(self) -> None:
        self._context.close()


def cells(table: Any, column: int) -> list[str]:
    return list(table.locator(f"tbody tr:not(.detail) td:nth-child({column})").all_inner_texts())


def check_dark(browser: Any, path: Path) -> None:
    """A page follows the system's choice, and then its button's."""
    shown = Shown(browser, path, color_scheme="dark")
    shown.scroll_through()
    assert shown.page.evaluate(DARK)
    assert shown.page.evaluate(LIGHT_INK), "what is drawn is light on dark too"
    shown.page.locator("#theme").click()
    assert not shown.page.evaluate(DARK)
    shown.page.wait_for_function(f"!({LIGHT_INK})")
    shown.close()


def check_phone(browser: Any, path: Path) -> None:
    """A page is as wide as a phone, with the first rows of its table opened."""
    shown = Shown(browser, path, **PHONE)
    shown.scroll_through()
    for row in shown.page.locator(".table button.open").all()[:8]:
        row.click()
    assert shown.page.evaluate(WIDTH) == 375
    shown.close()
