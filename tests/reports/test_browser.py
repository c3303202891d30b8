"""The HTML report in headless Chromium: what a reader sees, nothing asked of anybody, nothing in the way of anyone."""

import shutil

import pytest

from leakbench.reports.content import content
from leakbench.reports.figures import draw
from leakbench.reports.html import write_html
from leakbench.reports.verdicts import Results
from tests.reports.test_paper_claims import CLASS, ONE, visual
from tests.reports.test_tables import accuracy, attack, good_run, members

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    from PIL import Image

    folder = tmp_path_factory.mktemp("run")
    records = [*good_run(), visual("identity", 1.0), accuracy(CLASS, 30), attack(CLASS, 0.8, 0.0), visual(CLASS, 0.1)]
    records += [accuracy(ONE, 79), attack(ONE, 0.8, 0.5), members("identity", 0.5, 0.9), members("disjoint", 0.0, 0.0)]
    (folder / "galleries").mkdir()
    for one in (r for r in records if r.cell.task == "attack"):
        Image.new("RGB", (64, 64), (200, 30, 30)).save(folder / "galleries" / f"{one.cell.id}.png")
    results = Results(records)
    run = {"suite": {"name": "s", "dataset": "d"}, "date": "2026-11-21"}
    return write_html(content(results, run, folder), folder, draw(results, folder / "figures"))


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield opened
        opened.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_error_no_request_and_accessible(scheme, report, browser):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = browser.new_page(color_scheme=scheme, bypass_csp=True)  # axe is a script of its own
    errors, asked = [], []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    assert not errors
    assert all(url.startswith("data:") or url == report.as_uri() for url in asked)
    found = axe.run(page).response["violations"]
    assert [
        (v["id"], v["nodes"][0]["html"][:200], v["nodes"][0]["failureSummary"])
        for v in found
        if v["impact"] in ("serious", "critical")
    ] == []
    page.screenshot(path=report.with_name(f"{scheme}.png"), full_page=True)


def test_tables_are_sorted_by_a_click_and_images_grow(report, browser):
    page = browser.new_page()
    page.goto(report.as_uri())
    table = page.locator("#T1 table")

    def order():
        return [row.locator("td").first.inner_text() for row in table.locator("tbody tr").all()]

    before = order()
    table.locator("th button").first.click()
    assert order() == sorted(before)
    assert table.locator("th").first.get_attribute("aria-sort") == "ascending"
    image = page.locator(".gallery img").first
    small = image.bounding_box()["width"]
    image.click()
    assert image.bounding_box()["width"] > 1.5 * small


def test_it_reads_without_scripts(report, browser):
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(report.as_uri())
    text = page.locator("body").inner_text()
    for words in ("2026-11-21", "The paper's claims", "Singling out", "members are given away by"):
        assert words in text
    assert page.locator("table").first.is_visible()
