"""The HTML reports in headless Chromium: what a reader sees, nothing asked of anybody, nothing in the way of anyone."""

import shutil

import pytest

from leakbench.benchmarks.audit.files import write
from leakbench.reports.content import content
from leakbench.reports.figures import draw
from leakbench.reports.html import write_html
from leakbench.reports.verdicts import Results
from tests.benchmarks.audit.test_report import example
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


@pytest.fixture(scope="module")
def audit(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audit")
    write(example(), folder)
    return folder / "audit.html"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["report", "audit"])
def test_no_error_no_request_and_accessible(name, scheme, browser, request):
    report = request.getfixturevalue(name)
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


def test_what_was_found_is_filtered_and_a_cell_of_the_matrix_leads_to_its_evidence(report, browser):
    page = browser.new_page()
    page.goto(report.as_uri())

    def shown():
        """Tables and rows of what was found that a reader sees."""
        found = {t.get_attribute("id"): t for t in page.locator(".found").all() if t.is_visible()}
        rows = {n: [r for r in t.locator("tbody tr").all() if r.is_visible()] for n, t in found.items()}
        return {n: {row.locator("td").first.inner_text() for row in of} for n, of in rows.items()}

    everything = shown()
    family = next(iter(everything))
    assert len(everything) >= 2
    page.select_option("#by-family", family)
    assert shown() == {family: everything[family]}
    page.select_option("#by-family", "")
    page.select_option("#by-defense", "disjoint")
    assert set().union(*shown().values()) == {"disjoint"}
    row = page.locator(".glance tbody tr", has=page.locator("th", has_text="identity"))
    row.locator("a").first.click()
    assert set().union(*shown().values()) == {"identity"}
    assert page.locator(page.url[page.url.index("#") :]).is_visible()


@pytest.mark.parametrize("name", ["report", "audit"])
def test_a_phone_shows_all_of_the_page(name, browser, request):
    page = browser.new_page(viewport={"width": 390, "height": 300})
    page.goto(request.getfixturevalue(name).as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_the_matrix_keeps_its_heads(report, browser):
    page = browser.new_page(viewport={"width": 390, "height": 300})
    page.goto(report.as_uri())
    matrix = page.locator(".scroll", has=page.locator(".glance"))
    matrix.scroll_into_view_if_needed()
    head, corner = matrix.locator("thead th").first, matrix.locator("tbody th").first
    assert matrix.evaluate("one => { one.scrollTo(200, 100); return [one.scrollLeft, one.scrollTop] }") == [200, 100]
    there = matrix.bounding_box()
    assert abs(head.bounding_box()["y"] - there["y"]) < 2
    assert abs(corner.bounding_box()["x"] - there["x"]) < 2
