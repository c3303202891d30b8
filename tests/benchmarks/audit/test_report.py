"""The report that is handed in: all that was found, nothing that a name could break, nobody else to read it."""

import json
from dataclasses import replace

import pytest
import torch

from leakbench.benchmarks.audit.files import save, write
from leakbench.benchmarks.audit.folders import open_folders
from leakbench.benchmarks.audit.report import MEANINGS, SHOWN, SILENCE, content
from leakbench.benchmarks.audit.result import NOT_ASKED, Audit, Part
from leakbench.benchmarks.audit.risky import COLUMNS, COPY, MEMBER
from leakbench.benchmarks.audit.verdict import SILENCE as SILENT
from leakbench.benchmarks.audit.verdict import overall
from leakbench.metrics.decision import LEAKS, NOT_VALIDATED, NOTHING, UNKNOWN
from tests.pictures import pictures
from tests.reports.test_html import EVIL, Reader


def example():
    """Thirty copies, one of them told by an attack, and a name that would break a page."""
    private = pictures("private", 40)
    folders = open_folders(private, private[:30])
    rows = [
        dict.fromkeys(COLUMNS, "") | {"kind": COPY, "private": f"{i:06d}", "released": f"{i:06d}"} for i in range(30)
    ]
    rows[0] |= {"why": " ".join(EVIL)}
    rows[1] |= {"kind": MEMBER, COLUMNS[4]: "10 20 60 70", COLUMNS[5]: "0 0 100 100"}
    power = "power: 8 hidden copies would have been found"
    parts = (
        Part("copies", LEAKS, ["one", *EVIL]),
        Part("membership", UNKNOWN, ["nearest: does not tell", "gan-leaks: tells private images", power]),
        Part("students", NOT_ASKED, ["students: not trained"]),
    )
    return Audit(LEAKS, parts, ["a note"], rows, {}, folders)


@pytest.fixture(scope="module")
def found():
    return example()


def test_what_the_report_says(found):
    said = content(found)
    assert (said["verdict"], said["meaning"]) == (LEAKS, MEANINGS[LEAKS])
    assert [(part["question"], part["verdict"], part["reason"]) for part in said["parts"]] == [
        ("copies", LEAKS, "one"),
        ("membership", UNKNOWN, "gan-leaks: tells private images"),
        ("students", NOT_ASKED, "not trained"),
    ]
    assert said["reasons"][len(EVIL) + 1] == "a note"
    assert said["reasons"] == found.reasons
    assert said["looked"][0] == "power: 8 hidden copies would have been found"
    assert said["looked"][-1].startswith("Not found: copies may be missed")
    assert len(said["pairs"]) == SHOWN
    assert said["take_out"].startswith("29 private pictures have a copy in the release; 1 are told by attacks")
    assert [source["count"] for source in said["sources"]] == ["40", "30"]
    assert content(replace(found, verdict=UNKNOWN))["meaning"] == MEANINGS[UNKNOWN]
    silent = content(replace(found, verdict="no leak found at this power", risky=[]))
    assert (silent["meaning"], silent["take_out"], silent["pairs"]) == (SILENCE, "Nothing was named.", [])


def test_sources_are_known_by_their_pixels_in_any_order(found):
    def digests(private):
        return [s["digest"] for s in content(replace(found, folders=open_folders(private, private[:3])))["sources"]]

    private = pictures("private", 40)
    changed = private.clone()
    changed[7, 0, 0, 0] ^= 1
    one, other, third = digests(private), digests(private.flip(0)), digests(changed)
    assert one[0] == other[0] != third[0]
    assert one[1] == third[1] != other[1]


def test_the_page_asks_nobody_and_prints_every_string(found, tmp_path):
    write(found, tmp_path)
    text = (tmp_path / "audit.html").read_text(encoding="utf-8")
    reader = Reader()
    reader.feed(text)
    assert "script" not in reader.tags
    assert len([link for link in reader.links if link.startswith("data:image/png")]) == SHOWN
    assert all(link.startswith("data:") for link in reader.links)
    assert "{{ 7 * 7 }}" in text
    assert "For the data owner only" in text
    assert (tmp_path / "audit.pdf").read_bytes().startswith(b"%PDF")
    for name in ("audit.html", "audit.pdf", "riskiest.png"):
        assert (tmp_path / name).stat().st_mode & 0o077 == 0, f"{name} shows private pictures"
    assert json.loads((tmp_path / "audit.json").read_text())["risky"] == found.risky


def test_a_report_is_saved_by_its_ending(found, tmp_path):
    assert found.save(tmp_path / "mine.PDF").read_bytes().startswith(b"%PDF")
    assert found.save(str(tmp_path / "mine.html")).read_text(encoding="utf-8").startswith("<!doctype html>")
    with pytest.raises(ValueError, match=r"a report is a \.pdf or an \.html"):
        save(found, tmp_path / "mine.docx")


def test_a_report_of_a_silence_has_no_pictures(found, tmp_path):
    write(found, tmp_path)
    write(replace(found, verdict="no leak found at this power", risky=[]), tmp_path)
    assert not (tmp_path / "riskiest.png").exists()
    assert "data:image" not in (tmp_path / "audit.html").read_text(encoding="utf-8")


def test_all_copies_are_taken_out_also_the_second_of_the_same_picture():
    private, strangers = pictures("private", 20), pictures("strangers", 3)
    released = torch.stack([private[4], strangers[0], private[4].flip(2), strangers[1], private[9], strangers[2]])
    found = Audit(LEAKS, (), [], [], {}, open_folders(private, released))
    assert found.without_copies() == ["000001", "000003", "000005"]


@pytest.mark.parametrize(
    ("copies", "membership", "students", "verdict"),
    [
        (NOTHING, NOTHING, NOT_ASKED, SILENT),
        (NOTHING, NOTHING, NOTHING, SILENT),
        (NOTHING, NOTHING, NOT_VALIDATED, SILENT),
        (NOTHING, NOTHING, UNKNOWN, UNKNOWN),
        (NOTHING, UNKNOWN, NOTHING, UNKNOWN),
        (UNKNOWN, NOTHING, NOTHING, UNKNOWN),
        (LEAKS, UNKNOWN, NOT_ASKED, LEAKS),
        (UNKNOWN, LEAKS, NOTHING, LEAKS),
        (NOTHING, NOTHING, LEAKS, LEAKS),
    ],
)
def test_the_verdict_is_made_of_three_answers(copies, membership, students, verdict):
    answers = {"copies": copies, "membership": membership, "students": students}
    assert overall([Part(question, word, []) for question, word in answers.items()]) == verdict
