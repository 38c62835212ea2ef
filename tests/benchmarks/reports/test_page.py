"""The page of a report in a real browser, opened from disk without a network."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.report import write_report
from tests.benchmarks.made_run import make_run


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_run(tmp_path_factory.mktemp("made") / "run")
    write_report(folder)
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser, report: Path) -> Iterator[Callable[..., Page]]:
    """Opens the page; at the end nothing may have been fetched and nothing complained."""
    troubles: list[str] = []
    asked: list[str] = []

    def start(width: int = 1280, color_scheme: str = "light") -> Page:
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=color_scheme)
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: troubles.append(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.goto(report.as_uri())
        return page

    yield start
    assert troubles == []
    assert [url for url in asked if url != report.as_uri() and not url.startswith("data:")] == []


def test_tables_pictures_and_links_are_there(open_page: Callable[..., Page]) -> None:
    page = open_page()
    assert page.locator("h1").inner_text().startswith("Benchmark ")
    assert page.locator("figure svg").count() == 3
    for link in page.locator("nav a").all():
        assert page.locator(str(link.get_attribute("href"))).count() == 1
    for picture in page.locator("figure svg").all():
        box = picture.bounding_box()
        assert box is not None
        assert box["width"] > 300


def test_a_click_on_a_heading_sorts_and_gaps_stay_below(open_page: Callable[..., Page]) -> None:
    page = open_page()
    table = page.locator("#main table")
    heading = table.locator("th", has_text="M parameters")
    column = heading.evaluate("cell => cell.cellIndex")

    def cells() -> list[float | None]:
        values = [row.locator("td").nth(column) for row in table.locator("tbody tr").all()]
        numbers = [value.get_attribute("data-value") for value in values]
        return [None if number is None else float(number) for number in numbers]

    before = [number for number in cells() if number is not None]
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    assert [number for number in cells() if number is not None] == sorted(before)
    heading.locator("button").press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    assert [number for number in cells() if number is not None] == sorted(before, reverse=True)

    # Only the gap's own table shows whether it stays below.
    holm = page.locator("#pairs th", has_text="Holm p")
    for _ in range(2):
        holm.locator("button").click()
        values = page.locator("#pairs tbody tr").evaluate_all(
            "(rows, column) => rows.map(row => row.cells[column].dataset.value ?? null)",
            holm.evaluate("cell => cell.cellIndex"),
        )
        gaps = [value is None for value in values]
        assert any(gaps)
        assert gaps == sorted(gaps)


@pytest.mark.parametrize("width", [390, 1280])
def test_wide_tables_scroll_in_their_own_box(open_page: Callable[..., Page], width: int) -> None:
    page = open_page(width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_dark_readers_get_a_dark_page_and_readable_pictures(open_page: Callable[..., Page]) -> None:
    colours = {}
    for scheme in ("light", "dark"):
        page = open_page(color_scheme=scheme)
        colours[scheme] = [
            page.evaluate(f"getComputedStyle(document.querySelector('{what}')).backgroundColor")
            for what in ("body", "figure svg")
        ]
    assert colours["light"] == ["rgb(255, 255, 255)"] * 2
    assert colours["dark"][0] != colours["light"][0]
    # The drawings have black letters, so their paper stays white.
    assert colours["dark"][1] == "rgb(255, 255, 255)"
