"""The page in a real browser: no error, no request, nothing wider than the window, the verdict in the first screen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from report_example import patient_content, voxel_content

from scanprior.report.page import render

playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: the page is not opened here")
CHROMIUM = next((p for p in (Path("/usr/bin/chromium"), Path("/usr/bin/chromium-browser")) if p.exists()), None)
QUIET = ("--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync")  # fmt: skip
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no /usr/bin/chromium: the page is not opened here")


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    with playwright.sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=str(CHROMIUM), args=list(QUIET))
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("reports")
    made = {"voxel": render(voxel_content("helps")), "patient": render(patient_content("inconclusive"))}
    for name, page in made.items():
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in made}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
@pytest.mark.parametrize("name", ["voxel", "patient"])
def test_opens_from_disk(browser, pages, name: str, width: int, height: int, scheme: str) -> None:
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(pages[name].as_uri())
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [pages[name].as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    claim = page.locator("h1").bounding_box()
    assert claim["y"] >= 0
    assert claim["y"] + claim["height"] <= height
    if width == 1280:
        curve = page.locator("figure.curve svg").bounding_box()
        assert curve["x"] > claim["x"] + claim["width"]
        assert curve["y"] + curve["height"] <= height
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(browser, pages, scheme: str) -> None:
    """WCAG 2.2 AA: 4.5 to 1 for text, also for the quiet kind, links and the marked cells."""
    page = browser.new_page(color_scheme=scheme)
    page.goto(pages["patient"].as_uri())
    for name in ("--ink", "--quiet", "--prior", "--good", "--bad", "--note"):
        for ground in ("--paper", "--panel"):
            assert contrast(colour(page, name), colour(page, ground)) >= 4.5, (name, ground)
    assert contrast(colour(page, "--note"), colour(page, "--note-paper")) >= 4.5
    for name in ("--scratch", "--arm-a", "--arm-b", "--arm-c", "--arm-d", "--arm-e", "--arm-f"):
        assert contrast(colour(page, name), colour(page, "--paper")) >= 3, name
    page.close()


def test_prints_on_a4_with_all_that_is_folded(browser, pages) -> None:
    page = browser.new_page(color_scheme="dark")
    page.goto(pages["voxel"].as_uri())
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    folded = page.locator("details table").first.bounding_box()
    assert folded is not None
    assert folded["height"] > 20
    assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")
    page.close()


def colour(page, name: str) -> tuple[float, float, float]:
    value = page.evaluate(f"getComputedStyle(document.documentElement).getPropertyValue('{name}').trim()")
    return tuple(int(value[at : at + 2], 16) / 255 for at in (1, 3, 5))


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Contrast ratio of two sRGB colours (WCAG 2.2)."""

    def luminance(colour: tuple[float, ...]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)
