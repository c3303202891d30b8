import re
from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leakbench.reports.content import content
from leakbench.reports.figures import draw
from leakbench.reports.findings import findings
from leakbench.reports.html import write_html
from leakbench.reports.verdicts import Results
from tests.reports.test_tables import accuracy, attack, good_run, record

RUN = {"suite": {"name": "s", "dataset": "d"}, "environment": {}}
EVIL = [
    "<script>alert(1)</script>",
    "{{ 7 * 7 }}{% raw %}",
    "</td></table>",
    '" onload="x',
    "\u202eright to left",
    "😀" * 100,
]


class Reader(HTMLParser):
    """Text by table cell, and every tag with what it points at."""

    def __init__(self):
        super().__init__()
        self.cells, self.links, self.tags, self.open = [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href", "action")]
        if tag == "td":
            self.cells.append("")
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag == "td":
            self.open.pop()

    def handle_data(self, data):
        if self.open:
            self.cells[-1] += data


def read(results, folder, figures):
    reader = Reader()
    text = write_html(content(results, RUN, folder), folder, figures).read_text(encoding="utf-8")
    reader.feed(text)
    return text, reader


def test_the_report_asks_nobody(tmp_path):
    results = Results(good_run())
    text, reader = read(results, tmp_path, draw(results, tmp_path / "figures"))
    assert all(link.startswith(("data:", "#")) for link in reader.links)
    assert any(link.startswith("data:image/svg+xml") for link in reader.links)
    assert "http:" not in text.split("base64,")[0]
    assert not re.search(r"url\(|@import|https?://", re.sub(r"base64,[^\"]*", "", text))


def test_everything_that_is_pointed_at_is_there(tmp_path):
    text, reader = read(Results(good_run()), tmp_path, {})
    targets = {link[1:] for link in reader.links if link.startswith("#")}
    assert targets
    assert all(f'id="{target}"' in text for target in targets)


def test_tables_are_the_csv_tables(tmp_path):
    from leakbench.reports.tables import tables

    results = Results(good_run())
    _, reader = read(results, tmp_path, {})
    wanted = [cell for table in tables(results) for row in table.rows for cell in row]
    verdicts = [
        (d, results.attack_answer(d, a), results.member_answer(d, a)) for a in results.attacks for d in results.defenses
    ]
    told = [*wanted, *(cell for row in verdicts for cell in row)]
    assert reader.cells[-len(told) :] == told
    found = [cell for table in findings(results).values() for row in table.rows for cell in row]
    assert reader.cells[-len(told) - len(found) : -len(told)] == found


@pytest.mark.parametrize("name", EVIL)
def test_hostile_names_are_shown_literally(name, tmp_path):
    records = [*good_run(), accuracy(name, 10), attack(name, 0.1, 0.0)]
    _, reader = read(Results(records), tmp_path, {})
    assert name in reader.cells
    assert reader.tags.count("script") == 1


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_name_is_shown_literally(tmp_path, name):
    _, reader = read(Results([*good_run(), accuracy(name, 10)]), tmp_path, {})
    assert name in reader.cells


def test_failures_are_shown(tmp_path):
    records = [
        record("identity", "release", status="failed", reason="RuntimeError: <boom>\ntrace"),
        accuracy("blur", 5),
    ]
    text, _ = read(Results(records), tmp_path, {})
    assert "RuntimeError: &lt;boom&gt;" in text
