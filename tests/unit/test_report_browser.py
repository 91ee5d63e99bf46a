"""The report's page in headless Chromium: no errors, no requests, both schemes, paper, keyboard."""

from __future__ import annotations

import base64
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from zerobias.report import page

DATA = Path(__file__).parents[1] / "data"
REPORTS = SimpleNamespace(**runpy.run_path(str(DATA / "reports.py")))
Browser = runpy.run_path(str(DATA / "browser.py"))["Browser"]
pytestmark = pytest.mark.browser
COLOURS = """(() => {
  const shown = e => e.checkVisibility() && !e.closest('.unseen, .skip, svg');
  const solid = e => { for (; e; e = e.parentElement) {
    const c = getComputedStyle(e).backgroundColor; if (c !== 'rgba(0, 0, 0, 0)') return c; }
    return 'rgb(255, 255, 255)' };
  return [...document.querySelectorAll('body *')].filter(shown)
    .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
    .map(e => [getComputedStyle(e).color, solid(e), e.tagName + ' ' + e.textContent.slice(0, 30)]) })()"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    made = Browser(tmp_path_factory.mktemp("profile"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    for name, made in (("pass", REPORTS.full_report()), ("fail", REPORTS.failing_report())):
        (folder / f"{name}.html").write_text(page(made))
    (folder / "bad.html").write_text('<p>x</p><img src="x.png"><script>console.error("x")</script>')
    return {path.stem: path for path in folder.iterdir()}


def told(browser: Any, path: Path) -> tuple[list[str], list[str]]:
    """Requests beyond the page itself, and messages of the console, while ``path`` is loaded and drawn."""
    seen = len(browser.events)
    browser.open(path)
    browser("Page.captureScreenshot")
    events = browser.events[seen:]
    urls = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert urls[0] == path.as_uri()
    kinds = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
    return urls[1:], [str(e["params"]) for e in events if e["method"] in kinds]


@pytest.mark.parametrize("name", ["pass", "fail"])
def test_no_request_and_no_message(name: str, browser: Any, files: dict[str, Path]) -> None:
    assert told(browser, files[name]) == ([], [])


def test_control_a_request_and_a_message_are_seen(browser: Any, files: dict[str, Path]) -> None:
    urls, messages = told(browser, files["bad"])
    assert [url.rsplit("/", 1)[1] for url in urls] == ["x.png"]
    assert len(messages) >= 1


def luminance(colour: str) -> float:
    """Relative luminance of an sRGB colour, as WCAG 2 defines it."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("name", ["pass", "fail"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_in_both_schemes(
    name: str, scheme: str, browser: Any, files: dict[str, Path], tmp_path: Path
) -> None:
    browser.open(files[name])
    browser.picture(tmp_path / "page.png", 1200, scheme=scheme)
    assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")
    found = browser.evaluate(COLOURS)
    assert len(found) > 150
    ground = luminance(found[0][1])
    assert ground > 0.9 if scheme == "light" else ground < 0.05
    for text, behind, what in found:
        dark, bright = sorted((luminance(text), luminance(behind)))
        assert (bright + 0.05) / (dark + 0.05) >= 4.5, (what, text, behind)


@pytest.mark.parametrize("width", [320, 400, 800, 1200])
def test_only_tables_scroll_sideways(
    width: int, browser: Any, files: dict[str, Path], tmp_path: Path
) -> None:
    browser.open(files["fail"])
    browser.picture(tmp_path / "page.png", width)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width


def test_paper(browser: Any, files: dict[str, Path]) -> None:
    browser.open(files["fail"])
    browser("Emulation.setEmulatedMedia", media="print", features=[])
    shown = "[...document.querySelectorAll('{}')].filter(e => e.checkVisibility()).length"
    assert browser.evaluate(shown.format("nav, .skip, summary")) == 0
    assert browser.evaluate(shown.format("main .verdict, table.budget, figure")) > 4
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    browser("Emulation.setEmulatedMedia", media="", features=[])
    pdf = base64.b64decode(browser("Page.printToPDF", printBackground=True)["data"])
    assert pdf.startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 8


def test_tab_visits_everything_in_order_and_shows_where(browser: Any, files: dict[str, Path]) -> None:
    browser.open(files["pass"])
    browser("Emulation.clearDeviceMetricsOverride")
    expected = browser.evaluate(
        "[...document.querySelectorAll('a, summary, .scroll')].filter(e => e.checkVisibility()).length"
    )
    visited = []
    for _ in range(expected):
        browser.press("Tab", 9)
        visited.append(
            browser.evaluate(
                "(e => [e.matches(':focus-visible') && getComputedStyle(e).outlineStyle, e.tagName, "
                "[...document.querySelectorAll('*')].indexOf(e), e.getBoundingClientRect().left >= 0])"
                "(document.activeElement)"
            )
        )
    assert [outline for outline, *_ in visited] == ["solid"] * expected
    assert all(inside for *_, inside in visited), "the skip link comes into view"
    places = [place for _, _, place, _ in visited]
    assert places == sorted(set(places))
    assert [tag for _, tag, _, _ in visited][:7] == ["A"] * 7
    assert [tag for _, tag, _, _ in visited].count("SUMMARY") == 6


def test_enter_opens_a_folded_table_and_the_skip_link_leads_to_the_verdict(
    browser: Any, files: dict[str, Path]
) -> None:
    browser.open(files["pass"])
    browser.press("Tab", 9)
    browser.press("Enter", 13, "\r")
    assert browser.evaluate("document.activeElement.id") == "main"
    browser.evaluate("document.querySelector('summary').focus()")
    assert browser.evaluate("document.querySelector('details').open") is False
    browser.press("Enter", 13, "\r")
    assert browser.evaluate("document.querySelector('details').open") is True
