"""Trends, comparisons and ladders in a real browser. Sessions are made here: what is tested is the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flow import tokgate
from gpu_nights import night
from shown import HOSTILE, PHONE, WIDTH, Shown, cells

from tokgate import session as sessions
from tokgate.session import Row

pytestmark = [pytest.mark.e2e, pytest.mark.beside]


@pytest.fixture(scope="module")
def other_pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Trends of three nights of three vLLMs, and two of the nights beside each other."""
    folder = tmp_path_factory.mktemp("others")
    paths = [sessions.write(night(number, groups=2), folder / "sessions") for number in (1, 12, 23)]
    (nothing := folder / "none").mkdir()
    nowhere = ("--baselines", nothing)
    found = {name: folder / f"{name}.html" for name in ("trends", "compare")}
    saved = ("--trends", "nvidia-t4", "--sessions", folder / "sessions")
    assert tokgate("report", *saved, *nowhere, "-o", found["trends"]) == 0
    assert tokgate("report", "--compare", *paths[:2], *nowhere, "-o", found["compare"]) == 0
    return found


@pytest.mark.parametrize("name", ["trends", "compare"])
@pytest.mark.parametrize("how", [{}, {"color_scheme": "dark", **PHONE}], ids=["desk", "dark phone"])
def test_trends_and_a_comparison_are_drawn(
    browser: Any, other_pages: dict[str, Path], name: str, how: dict[str, Any]
) -> None:
    shown = Shown(browser, other_pages[name], **how)
    shown.scroll_through()
    assert shown.page.locator(".plot .main-svg").count() >= 2
    assert shown.complaints == []
    if how:
        assert shown.page.evaluate(WIDTH) == 375
    if name == "trends":
        marks = shown.page.locator(".plot").first.locator(".textpoint")
        assert marks.all_text_contents() == ["1", "2"], "a change of software stands where it happened"
        assert sorted(cells(shown.page.locator(".table").first, 1)) == ["1", "2"]
        assert cells(shown.page.locator(".table").first, 4) == ["0.21.0", "0.20.0"]
    else:
        assert "cannot be told apart" in shown.page.locator("h1").inner_text()
    shown.close()


def test_a_ladder_is_drawn_in_each_metric_and_what_is_missing_is_said(browser: Any, tmp_path: Path) -> None:
    """Two steps of eight, one of them not to be believed, with a reason that would be markup."""
    model, machine = "tiny-dummy", {"id": "edge-2c", "kind": "cpu"}
    plain, graph, int8 = (f"{model}.{name}.b1.p5.o50" for name in ("transformers.fp32", "onnx.fp32", "onnx.int8"))
    rows = [
        Row(scenario=scenario, metric=metric, unit=unit, better="lower", gated=True, launches=[[value], [value * 1.01]])
        for scenario, value in ((plain, 4.0), (graph, 2.0), (int8, 1.0))
        for metric, unit in (("ttft", "s"), ("e2el", "s"), ("peak_memory", "B"))
    ]
    session = night(1, groups=1, machine=machine, rows=rows, telemetry={}, valid=False, reasons=[f"{int8}: {HOSTILE}"])
    path, page = sessions.write(session, tmp_path), tmp_path / "ladder.html"
    assert tokgate("report", "--ladder", path) == 0
    assert tokgate("report", "--ladder", path, "-o", page) == 0
    shown = Shown(browser, page, **PHONE)
    shown.scroll_through()
    plots = shown.page.locator(".plot")
    assert plots.count() == 3
    assert "2.00x" in plots.nth(1).inner_text()
    assert "INVALID" in plots.nth(0).inner_text()
    assert plots.nth(0).inner_text().count("not measured") == 5
    shown.page.locator("label select").select_option("memory")
    shown.page.wait_for_function("!document.querySelectorAll('.plot')[0].textContent.includes('2.00 s')")
    assert HOSTILE.split("\u2028")[0] in shown.page.locator(".summary:visible").inner_text()
    assert shown.page.locator("img").count() == 0
    assert shown.page.evaluate(WIDTH) == 375
    assert shown.complaints == []
    assert shown.fetched == {page.as_uri()}
    shown.close()
