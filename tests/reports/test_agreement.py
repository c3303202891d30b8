"""Console, tables, HTML and PDF say the same of every defense and attack, word for word, power and all."""

import io
import shutil
from pathlib import Path

import pypdfium2
import pytest
from rich.console import Console

from leakbench.benchmarks.cli.console import show_summary
from leakbench.reports.content import content
from leakbench.reports.leakage import leakage
from leakbench.reports.leakage_columns import LEAKAGE
from leakbench.reports.table import short
from leakbench.reports.verdicts import Results
from leakbench.reports.write import load_run, write_reports
from tests.reports.test_tables import good_run, members

COMMITTED = Path(__file__).parents[2] / "docs" / "results" / "cifar10-jpeg-cpu"


@pytest.fixture(params=["by hand", "committed"])
def run(request):
    """Results, and what run.json says."""
    if request.param == "committed":
        return load_run(COMMITTED)
    more = [members(d, *e) for d, e in {"identity": (0.5, 0.9), "disjoint": (0.0, 0.0), "noise": (0.0, 0.3)}.items()]
    return Results([*good_run(), *more, members("blur:sigma=2", 0.01, 0.02)]), {
        "suite": {"name": "s", "dataset": "d", "seeds": 1}
    }


def answers(results):
    """(defense, attack, worked, members), as they are to be shown everywhere."""
    return {
        (results.label(d), results.label(a), short(results.attack_answer(d, a)), short(results.member_answer(d, a)))
        for d in results.defenses
        for a in results.attacks
    }


def test_the_console_says_what_tables_say(run):
    results, _ = run
    out = io.StringIO()
    show_summary(Console(file=out, width=1000), results)
    cells = [tuple(c.strip() for c in line.strip("│┃").split("│")) for line in out.getvalue().splitlines()]
    assert {row for row in cells if len(row) == 4} == answers(results)


def test_tables_say_it(run):
    results, _ = run
    shown = set()
    for kind in LEAKAGE:
        table = leakage(results, kind)
        worked, leak = table.columns.index("worked"), table.columns.index("members leak")
        shown |= {(row[0], row[1], row[worked], row[leak]) for row in table.rows}
    assert shown <= answers(results)
    assert len(shown) == sum(
        results.asked_for(d, "attack", a)
        for d in results.defenses
        for a in results.attacks
        if results.family(a) in LEAKAGE
    )


def test_what_documents_are_made_of_says_it(run, tmp_path):
    results, about = run
    found = {
        (results.label(d), attack["name"], short(worked), short(leak))
        for attack in content(results, about, tmp_path)["attacks"]
        for d, worked, leak in attack["verdicts"]
    }
    assert found == answers(results)


def test_the_pdf_says_it(tmp_path):
    """Its text, without the spaces and line breaks that setting it needs."""
    for name in ("run.json", "records.jsonl"):
        shutil.copy(COMMITTED / name, tmp_path / name)
    (pdf,) = [file for file in write_reports(tmp_path, ("pdf",)) if file.suffix == ".pdf"]
    pages = pypdfium2.PdfDocument(pdf)
    text = "".join("".join(page.get_textpage().get_text_range().split()) for page in pages)
    text = text.replace("\u200b", "").replace("\ufffe", "").replace("\u00ad", "")
    results, _ = load_run(COMMITTED)
    for _, _, worked, leak in answers(results):
        for words in (worked, leak):
            assert "".join(words.split()) in text
