"""The command line, end to end on the embedded digits, in a process of its own where that matters."""

import json
import os
import signal
import subprocess
import sys

import pytest
import torch
from PIL import Image

from leakbench.benchmarks.cli.app import COMMANDS, imported
from leakbench.benchmarks.suite import model as suite
from leakbench.benchmarks.suite.graph import plan
from leakbench.reports.records import read_records
from tests.benchmarks.conftest import call, run_tiny


@pytest.mark.usefixtures("whole")
def test_end_to_end_and_resume(suites, tmp_path, capsys):
    assert run_tiny(tmp_path) == 0
    folder = tmp_path / "run"
    records = read_records(folder / "records.jsonl")
    assert {r.status for r in records.values()} == {"ok"}
    assert len(records) == len(plan(suite.load_suite("tiny")).cells) == 3 + 3 * (1 + 1 + 2 + 13) + 2
    assert (folder / "report.pdf").read_bytes().startswith(b"%PDF")
    assert {f.name for f in (folder / "tables").iterdir()} >= {
        "T1.csv",
        "T2.md",
        "T3.tex",
        "T4.csv",
        "T5.csv",
        "T6.csv",
        "T7.csv",
    }
    galleries = [file.name for file in (folder / "galleries").iterdir()]
    strips = [name for name in galleries if name.startswith("released-")]
    assert (len(strips), len(galleries) - len(strips)) == (3, 21)
    assert "kernel distance to private images" in (folder / "tables" / "T2.md").read_text(encoding="utf-8")
    figures = {file.name for file in (folder / "figures").iterdir()}
    assert figures == {"tradeoff.svg", "privacy-utility.svg", "roc.svg"}
    assert json.loads((folder / "run.json").read_text())["suite"]["name"] == "tiny"
    before = {f.name: f.read_bytes() for f in (folder / "tables").iterdir()}
    lines = (folder / "records.jsonl").read_text().splitlines()
    capsys.readouterr()

    # A run killed after six cells, and in the middle of a line, resumes to the same figures.
    # Without the cache as well: see test_executors.
    (folder / "records.jsonl").write_text("\n".join(lines[:6]) + "\n" + lines[6][:40])
    assert run_tiny(tmp_path) == 0
    assert f"resuming: 6 of {len(records)}" in capsys.readouterr().out
    after = {f.name: f.read_bytes() for f in (folder / "tables").iterdir()}
    costs = [name for name in before if name.startswith("T7")]
    assert {n: t for n, t in before.items() if n not in costs} == {n: t for n, t in after.items() if n not in costs}

    # A finished run computes nothing.
    size = (folder / "records.jsonl").stat().st_size
    assert run_tiny(tmp_path) == 0
    assert (folder / "records.jsonl").stat().st_size == size


def test_a_failing_cell_is_a_record_and_status_1(suites, tmp_path, monkeypatch, capsys):
    from leakbench.benchmarks.stages import stages

    def broken(context, cell):
        raise RuntimeError("out of luck")

    monkeypatch.setitem(stages.STAGES, "visual", broken)
    assert run_tiny(tmp_path, "--defense", "identity", "--attack", "sign:num_images=2") == 1
    failed = [r for r in read_records(tmp_path / "run" / "records.jsonl").values() if r.status == "failed"]
    assert [r.reason.splitlines()[0] for r in failed] == ["RuntimeError: out of luck"]
    assert "FAILED identity visual" in capsys.readouterr().out
    monkeypatch.undo()
    monkeypatch.setattr(suite, "FOLDER", suites)
    assert run_tiny(tmp_path, "--defense", "identity", "--attack", "sign:num_images=2") == 0, (
        "failed cells are tried again"
    )


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_keeps_what_is_done(number, status, suites, tmp_path, monkeypatch, capsys):
    from leakbench.benchmarks.cli import exits
    from leakbench.benchmarks.stages import stages

    def interrupted(context, cell):
        signal.raise_signal(number)

    # A shell that starts this in the background has Ctrl-C ignored.
    handlers = {signal.SIGTERM: exits.terminate, signal.SIGINT: signal.default_int_handler}
    before = {signal_: signal.signal(signal_, handler) for signal_, handler in handlers.items()}
    monkeypatch.setitem(stages.STAGES, "visual", interrupted)
    try:
        assert run_tiny(tmp_path) == status
    finally:
        for signal_, handler in before.items():
            signal.signal(signal_, handler)
    assert "same command resumes" in capsys.readouterr().err
    done = read_records(tmp_path / "run" / "records.jsonl").values()
    assert [r.cell.task for r in done] == ["blind", "oracle", "teacher", "release"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "nope"], "there is no suite 'nope'; there are:"),
        (["run", "quick", "--dataset", "nope"], "there is no dataset 'nope'"),
        (["run", "quick", "--defense", "nope"], "there is no defense 'nope'; there are: "),
        (["run", "quick", "--attack", "sign:size=3"], "'size' is not a parameter of sign; its parameters: num_images"),
        (["run", "quick", "--attack", "sign:num_images=many"], "num_images: Input should be a valid integer"),
        (["run", "quick", "--defense", "noise:sigma=-1"], "sigma must be > 0, got -1"),
        (["run", "quick", "--defense", "noise", "--defense", "noise"], "'noise' is asked for twice"),
        (["run", "quick", "--seeds", "0"], "seeds"),
        (["run", "quick", "--seeds", "x"], "'--seeds': Input should be a valid integer"),
        (["run", "quick", "--device", "tpu"], "--device must be auto, cpu or cuda"),
        (["run", "quick", "--dataset", "imagefolder"], "needs --data DIR"),
        (["run", "quick", "--data", "x"], "digits are embedded"),
        (["run", "quick", "--image-size", "32"], "32 pixels a side"),
        (["run", "quick", "--attack", "hitaj:samples=0"], "samples must be >= 1, got 0"),
        (["run", "quick", "--attack", "hitaj:fakes=2"], "fakes must be < 1, got 2"),
        (["run", "quick", "--attack", "sign:strength=nan"], "strength must be a finite number"),
        (["run", "quick", "--defense", "noise:sigma=1,sigma=2"], "sigma is given twice"),
        (
            ["synthesize", "noise", "--dataset", "digits", "--out", "x", "--members", "0"],
            "'--members': Input should be greater",
        ),
        (["run", "quick", "--dataset", "imagefolder", "--data", "/nowhere"], "is not a folder"),
        (["run"], "Missing argument"),
        (["report", "/nowhere"], "is not a run folder"),
        (["list", "nope"], "there is no list of 'nope'"),
        (["synthesize", "nope", "--dataset", "digits", "--out", "x"], "there is no defense 'nope'"),
    ],
)
def test_mistakes_are_one_sentence_and_status_2(arguments, sentence, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call(*arguments) == 2
    captured = capsys.readouterr()
    assert sentence in captured.err
    assert "Traceback" not in captured.err + captured.out
    assert not (tmp_path / "runs").exists()


def test_all_mistakes_are_said_at_once(capsys):
    assert call("run", "quick", "--defense", "nope", "--attack", "sign:num_images=0", "--dataset", "x") == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 3


def test_broken_images_are_all_named(tmp_path, capsys):
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for i in range(10):
            Image.new("RGB", (16, 16), (i, 0, 0)).save(tmp_path / label / f"{i}.png")
    (tmp_path / "a" / "bad.png").write_text("no image")
    (tmp_path / "b" / "empty.png").touch()
    assert (
        call(
            "run",
            "quick",
            "--dataset",
            "imagefolder",
            "--data",
            tmp_path,
            "--simulate-public",
            "--out",
            tmp_path / "out",
        )
        == 2
    )
    error = capsys.readouterr().err
    assert "a/bad.png: is not an image" in error
    assert "b/empty.png: is empty" in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", ['{"identity": {"suite": "other"}}', "{", "[]"])
def test_another_runs_folder_is_refused(content, suites, tmp_path, capsys):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text(content)
    assert run_tiny(tmp_path) == 2
    error = capsys.readouterr().err
    assert "holds another run" in error or "is damaged" in error


def test_other_images_do_not_resume_a_run(suites, tmp_path, capsys):
    """Same classes, same counts, other pixels: the old releases must not be judged against the new members."""
    for shade, out in ((0, 0), (100, 2)):
        root = tmp_path / f"photos{shade}"
        for label in ("a", "b"):
            (root / label).mkdir(parents=True)
            for i in range(40):
                Image.new("RGB", (32, 32), (shade + i, i, 0)).save(root / label / f"{i}.png")
        more = ["--dataset", "imagefolder", "--data", root, "--defense", "identity"]
        more += ["--attack", "inverting-gradients:iterations=1"]
        assert run_tiny(tmp_path, *more) == out
    assert "holds another run" in capsys.readouterr().err


def test_an_output_that_is_a_file(suites, tmp_path, capsys):
    (tmp_path / "run").touch()
    assert run_tiny(tmp_path) == 2
    assert "run" in capsys.readouterr().err


@pytest.mark.parametrize("name", suite.available())
def test_every_suite_is_sound_and_dry_runs(name, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("leakbench.benchmarks.suite.estimate._seconds_per_image", lambda suite, network, device: 1e-3)
    assert call("run", name, "--dry-run", "--device", "cpu") == 0
    assert "cells, about" in capsys.readouterr().out
    grid = suite.load_suite(name)
    assert {"identity", "disjoint"} <= {spec.split(":")[0] for spec in grid.defenses}, "no suite without its controls"


def test_synthesize_only_publishes(tmp_path, capsys):
    out = tmp_path / "release"
    assert call("synthesize", "pixelate:block=4", "--dataset", "digits", "--out", out, "--members", "50") == 0
    assert (out / "release.json").is_file()
    assert len(list(out.rglob("*.png"))) == 50
    assert call("synthesize", "pixelate", "--dataset", "digits", "--out", out) == 2
    assert "is not an empty folder" in capsys.readouterr().err


def test_list_and_doctor(capsys):
    assert call("list") == 0
    printed = capsys.readouterr().out
    for name in ("digits", "bn-matching", "hitaj", "ssim", "quick"):
        assert name in printed
    assert call("doctor") == 0
    said = capsys.readouterr().out
    assert "torch" in said
    assert torch.cuda.is_available() or "compiling: " in said


def test_names_never_leave_the_run_folder():
    from leakbench.reports.spec import slug

    for spec in ("../../etc/passwd", "a/b", "..", "", "x" * 500, "é\n"):
        assert "/" not in slug(spec)
        assert slug(spec) not in ("", ".", "..")
        assert len(slug(spec)) < 80


def test_help_and_mistyped_commands_import_nothing_heavy():
    """A newcomer's first command answers at once: torch and what stands on it take ten seconds."""
    code = (
        "import sys; from leakbench.__main__ import main\n"
        "for sys.argv[1:], status in ((['--help'], 0), (['rum'], 2)):\n"
        "    try: main()\n"
        "    except SystemExit as stop: assert stop.code == status\n"
        "print(sorted({'torch', 'torchvision', 'pandas', 'scipy', 'matplotlib', 'cv2', 'faiss'} & set(sys.modules)))"
    )
    environment = os.environ | {"COLUMNS": "80"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "  audit       Judge released pictures against the private ones.\n" in done.stdout
    assert "Did you mean 'run'?" in done.stderr


@pytest.mark.parametrize("name", list(COMMANDS))
def test_the_list_of_commands_says_what_their_own_help_says(name):
    sentence = COMMANDS[name][1]
    assert imported(name).get_short_help_str(len(sentence)) == sentence
    assert len(sentence) <= 62, "more is cut off in a terminal of 80 columns"
