"""The report in a real browser: on a phone and on a desk, by day and by night, with nothing asked of any network."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crossrank.evaluation.page import page_of
from tests.data.sample_page import made

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
LEAST_CONTRAST = 4.5
"""Of WCAG 2.2, level AA, for text."""

CONTRASTS = """() => {
  const parts = text => text.match(/[0-9.]+/g).slice(0, 3).map(Number);
  const light = rgb => {
    const [r, g, b] = rgb.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paper = light(parts(getComputedStyle(document.body).backgroundColor));
  const found = {};
  for (const each of document.querySelectorAll('body *')) {
    const own = [...each.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
    if (!own || each.matches('.number, style, title')) continue;
    const style = getComputedStyle(each);
    const ink = light(parts(each instanceof SVGElement ? style.fill : style.color));
    const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    found[`${each.tagName}.${each.getAttribute('class') || ''}`] = ratio;
  }
  return found;
}"""
OVERFLOWING = """() => [...document.querySelectorAll('body *')]
  .filter(each => !each.closest('svg, thead') && each.getBoundingClientRect().right > innerWidth + 0.5)
  .map(each => each.tagName + ': ' + each.textContent.slice(0, 60))"""
SMALLEST = (
    """() => Math.min(...[...document.querySelectorAll('svg text')].map(each => each.getBoundingClientRect().height))"""
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed; pip install playwright")
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip(f"no browser is here ({', '.join(BROWSERS)}); on Debian apt-get install chromium-headless-shell")
    with api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(page_of(*made()), encoding="utf-8")
    return file


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_asks_nobody_and_is_read_without_scrolling_sideways(
    browser: Any, report: Path, tmp_path: Path, width: int, scheme: str
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    asked: list[str] = []
    told: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    page.goto(report.as_uri())
    assert asked == [report.as_uri()]
    assert told == []
    for details in page.query_selector_all("details:not([open]) summary"):
        details.click()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate(OVERFLOWING) == []
    contrasts = page.evaluate(CONTRASTS)
    assert {
        "H1.",
        "TH.",
        "LI.",
        "SMALL.",
        "text.tick",
        "SPAN.good",
        "SPAN.bad",
        "P.query",
        "P.verdict",
        "DT.",
        "DD.",
    } <= contrasts.keys()
    assert {name: ratio for name, ratio in contrasts.items() if ratio < LEAST_CONTRAST} == {}
    assert page.evaluate(SMALLEST) >= 9, "letters of a picture, in pixels of the screen"
    is_dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert is_dark == (scheme == "dark")
    picture = tmp_path / f"report-{width}-{scheme}.png"
    page.screenshot(path=picture, full_page=True)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size > 100_000
    context.close()


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 800)])
def test_what_was_found_is_read_before_anything_is_scrolled(
    browser: Any, report: Path, width: int, height: int
) -> None:
    context = browser.new_context(viewport={"width": width, "height": height})
    page = context.new_page()
    page.goto(report.as_uri())
    assert page.title() == page.inner_text("h1") == "Rerankers on korquad/questions.parquet"
    assert "ranks better than no reranker: MRR@10" in page.inner_text(".verdict")
    for part in ("h1", ".verdict", ".settings"):
        box = page.query_selector(part).bounding_box()
        assert box["y"] + box["height"] < height, part
    assert {"data", "measured", "first stage", "relevant"} <= set(page.inner_text(".settings").split("\n"))
    context.close()


def test_on_a_phone_every_figure_stands_beside_its_measure(browser: Any, report: Path) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 800})
    page = context.new_page()
    page.goto(report.as_uri())
    cell = page.query_selector("tbody td")
    assert page.evaluate("cell => getComputedStyle(cell, '::before').content", cell) == '"has right in contexts@3"'
    context.close()
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.goto(report.as_uri())
    assert page.evaluate("getComputedStyle(document.querySelector('tbody td'), '::before').content") == "none"
    assert page.query_selector("thead").is_visible()
    context.close()
