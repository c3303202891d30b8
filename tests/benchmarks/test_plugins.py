import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import torch

from benchmarks import contained, contract, plugins
from reports.records import read_records
from synth.registry import defenses
from tests.benchmarks.conftest import call, run_tiny

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLE = ROOT / "tests" / "plugin_example" / "leakbench_posterize" / "__init__.py"

HEAD = """
from dataclasses import dataclass, replace
import torch
from synth.registry import defenses
from synth.types import Defense, Images, Release

@defenses.register("NAME")
@dataclass(frozen=True, kw_only=True)
class Mine(Defense):
    def release(self, members, *, teacher, public, seed, device):
        BODY
"""
BROKEN = {
    "raises": ("raise RuntimeError('boom')", "release raises RuntimeError on images: boom"),
    "floats": ("return Release(Images(members.float(), members.labels, members.classes))", "uint8"),
    "mutates": ("members.pixels.fill_(0); return Release(members)", "must not change the images"),
    "global": ("torch.rand(1); return Release(members)", "must not touch global random generators"),
    "moody": (
        "Mine.n = getattr(Mine, 'n', 0) + 1; return Release(replace(members, pixels=members.pixels + Mine.n))",
        "must be deterministic",
    ),
    "exits": ("raise SystemExit(0)", "release raises SystemExit on images"),
    "settings": ("torch.set_grad_enabled(False); return Release(members)", "must leave torch as it was"),
    "nobody": ("return Release(members, source_index=torch.tensor([0]))", "for each released image"),
    "untyped": ("return Release(members, soft_labels=[0.5])", "publishes_soft_labels must say"),
    "no-images": ("return Release(None)", "cannot be worked with: AttributeError"),
    "small": ("return Release(replace(members, pixels=members.pixels[:, :, ::2]))", "as large as the members"),
    "nothing": ("return None", "must return a synth.types.Release, got NoneType"),
    "soft": ("return Release(members, soft_labels=torch.ones(len(members), 2))", "publishes_soft_labels must say"),
    "color-only": (
        "return Release(replace(members, pixels=members.pixels[:, torch.tensor([2, 1, 0])]))",
        "release raises IndexError on gray images",
    ),
}


pytestmark = pytest.mark.usefixtures("unregister")


def written(tmp_path, name, body):
    file = tmp_path / f"{name}.py"
    file.write_text(HEAD.replace("NAME", name).replace("BODY", body))
    return file


@pytest.mark.parametrize("name", BROKEN)
def test_check_names_the_one_thing_to_change(name, tmp_path):
    body, message = BROKEN[name]
    plugins.load([str(written(tmp_path, f"mine-{name}", body))])
    state = torch.random.get_rng_state()
    assert message in contract.check(defenses[f"mine-{name}"])
    torch.random.set_rng_state(state)  # one of them draws from the global generator
    torch.set_grad_enabled(True)


LEAVING = """
@defenses.register("mine-leaving")
@dataclass(frozen=True, kw_only=True)
class Leaving(Defense):
    def release(self, members, **others):
        import os
        os.system("setsid sleep 1000 &")
        os._exit(0)
"""


def test_check_survives_what_it_tries(tmp_path, capsys):
    file = written(tmp_path, "mine-raising", "raise RuntimeError('boom')")
    file.write_text("print('hello')" + file.read_text() + LEAVING.replace("setsid", f"cd {tmp_path}; setsid"))
    assert call("check", file) == 1
    said = capsys.readouterr()
    assert "mine-raising: release raises RuntimeError on images: boom" in said.out
    assert "mine-leaving: must raise an exception" in said.out
    assert "it ended its process (status 0)" in said.out
    assert "hello" not in said.out
    assert "hello" in said.err
    assert str(tmp_path) not in [process.info["cwd"] for process in psutil.process_iter(["cwd"])]


@pytest.mark.parametrize("body", ["while True: pass", "import re; re.match('(a+)+b', 'a' * 99)"])
def test_check_stops_what_does_not_end(body, tmp_path, monkeypatch):
    """Whether it lets go of the interpreter or not."""
    monkeypatch.setattr(contained, "GRACE", 1.0)
    file = written(tmp_path, "endless", body)
    assert "took more than 2 seconds" in contract.check_apart(str(file), "endless", limit=2.0)


def test_a_defense_in_one_file_is_checked_and_run(tmp_path, suites, capsys):
    assert call("check", EXAMPLE) == 0
    assert "posterize: pass" in capsys.readouterr().out
    plugin = ("--plugin", EXAMPLE, "--defense", "posterize:levels=3", "--attack", "gan-leaks")
    assert run_tiny(tmp_path, *plugin) == 0
    assert "posterize" in (tmp_path / "run" / "tables" / "T6.csv").read_text()
    assert call("list", "defenses", "--plugin", EXAMPLE) == 0
    assert "posterize" in capsys.readouterr().out


def test_another_source_is_another_run(tmp_path, suites, capsys):
    body = "return Release(members)"
    chosen = ("--defense", "mine-again", "--attack", "gan-leaks")
    assert run_tiny(tmp_path, "--plugin", written(tmp_path, "mine-again", body), *chosen) == 0
    file = written(tmp_path, "mine-again", body + "  # changed")
    assert run_tiny(tmp_path, "--plugin", file, *chosen) == 2
    assert "holds another run" in capsys.readouterr().err


def test_a_broken_plugin_costs_its_own_cells(tmp_path, suites, capsys):
    file = written(tmp_path, "mine-broken", "raise RuntimeError('boom')")
    chosen = ("--defense", "mine-broken", "--defense", "identity", "--attack", "gan-leaks")
    assert run_tiny(tmp_path, "--plugin", file, *chosen) == 1
    rows = (tmp_path / "run" / "tables" / "T6.csv").read_text().splitlines()
    assert ["failed" in row for row in rows if row.startswith(('"mine-broken"', '"identity"'))] == [True, False]


def test_a_plugin_that_leaves_python_costs_its_own_cells(tmp_path, suites, capsys):
    file = written(tmp_path, "mine-leaving", "raise SystemExit(0)")
    chosen = ("--defense", "mine-leaving", "--defense", "identity", "--attack", "gan-leaks")
    assert run_tiny(tmp_path, "--plugin", file, *chosen) == 1
    found = {(r.cell.defense, r.cell.task): r for r in read_records(tmp_path / "run" / "records.jsonl").values()}
    assert found["mine-leaving", "release"].reason.startswith("SystemExit")
    assert found["identity", "attack"].status == "ok"


def test_nothing_that_a_plugin_changes_reaches_other_cells(tmp_path, suites, capsys):
    """Neither its input in place, nor torch's settings, nor anything by way of the cache."""
    body = "torch.set_grad_enabled(False); members.pixels.zero_(); public.pixels.zero_(); return Release(members)"
    plugin = ("--plugin", written(tmp_path, "mine-careless", body), "--defense", "mine-careless")
    chosen = ("--defense", "identity", "--defense", "disjoint", "--attack", "gan-leaks")
    assert run_tiny(tmp_path, *plugin, *chosen) == 0
    assert run_tiny(tmp_path, *chosen, out="after") == 0
    assert run_tiny(tmp_path, *chosen, out="alone", cache="another") == 0
    found = [read_records(tmp_path / out / "records.jsonl") for out in ("run", "after", "alone")]
    for name, record in found[2].items():
        assert found[0][name].measurements == found[1][name].measurements == record.measurements


ENDING = "if os.getpid() != {}: os._exit({})"


@pytest.mark.parametrize(
    ("where", "ends"),
    [
        (("--processes", "2"), ["died (status 0), 2 times", "died (status 3), 2 times"]),
        pytest.param(("--executor", "ray"), ["worker or node was lost"] * 2, marks=pytest.mark.slow),
    ],
)
def test_a_plugin_that_ends_its_process_costs_its_own_cells(where, ends, tmp_path, suites, capfd, monkeypatch):
    """With whatever status, and when it is imported, too; what it prints is no line of the log."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))  # for Ray's workers
    inside = written(tmp_path, "mine-inside", "import os; os._exit(0)")
    outside = written(tmp_path, "mine-outside", "return Release(members)")
    outside.write_text(f"import os\nprint('hello')\n{ENDING.format(os.getpid(), 3)}{outside.read_text()}")
    plugin = ("--plugin", inside, "--defense", "mine-inside", "--plugin", outside, "--defense", "mine-outside")
    chosen = ("--defense", "identity", "--attack", "gan-leaks", "--threads", 1, "--json-logs")
    assert run_tiny(tmp_path, *plugin, *chosen, *where) == 1
    found = read_records(tmp_path / "run" / "records.jsonl").values()
    assert {r.cell.defense for r in found if r.status == "ok"} == {"identity"}
    reasons = {r.cell.defense: r.reason for r in found if r.cell.task == "release"}
    assert [how in reasons[name] for name, how in zip(("mine-inside", "mine-outside"), ends, strict=True)] == [True] * 2
    for line in capfd.readouterr().out.splitlines():
        json.loads(line)


def test_a_plugin_that_is_gone_where_cells_are_computed_costs_its_own(tmp_path, suites, capsys):
    file = written(tmp_path, "mine-gone", "return Release(members)")
    file.write_text(f"import os\nif os.getpid() != {os.getpid()}: raise ImportError('gone')\n{file.read_text()}")
    chosen = ("--defense", "mine-gone", "--defense", "identity", "--attack", "gan-leaks")
    assert run_tiny(tmp_path, "--plugin", file, *chosen) == 1
    found = {(r.cell.defense, r.cell.task): r for r in read_records(tmp_path / "run" / "records.jsonl").values()}
    assert "cannot be imported: ImportError: gone" in found["mine-gone", "release"].reason
    assert found["identity", "attack"].status == "ok"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise SystemExit(0)", "cannot be built: SystemExit: 0"),
        ("Claim(kind='differential-privacy', epsilon=float('inf'))", "a claim's epsilon must be finite"),
    ],
)
def test_what_cannot_be_built_is_said(body, message, tmp_path, suites, capsys):
    head = (
        HEAD.partition("    def")[0].replace("NAME", "mine-unbuilt").replace("import Defense", "import Claim, Defense")
    )
    (file := tmp_path / "unbuilt.py").write_text(f"{head}    def __post_init__(self):\n        {body}\n")
    assert run_tiny(tmp_path, "--plugin", file, "--defense", "mine-unbuilt") == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_plugin_that_does_not_end_costs_its_own_cells(tmp_path, suites, capsys):
    file = written(tmp_path, "mine-endless", "while True: pass")
    chosen = ("--defense", "mine-endless", "--defense", "identity", "--attack", "gan-leaks")
    assert run_tiny(tmp_path, "--plugin", file, *chosen, "--plugin-timeout", "2s") == 1
    found = {(r.cell.defense, r.cell.task): r for r in read_records(tmp_path / "run" / "records.jsonl").values()}
    assert found["mine-endless", "release"].reason == "it did not end within 2 s (--plugin-timeout)"
    assert {r.status for (defense, _), r in found.items() if defense != "mine-endless"} == {"ok"}
    assert run_tiny(tmp_path, "--plugin", file, *chosen, "--plugin-timeout", "never") == 2
    assert "--plugin-timeout never: is no time" in capsys.readouterr().err
    assert run_tiny(tmp_path, "--plugin", file, *chosen, "--plugin-timeout", "0") == 2


@pytest.mark.parametrize(
    ("then", "patience", "status"), [("while True: pass", "2s", 1), ("return Release(members)", "10m", 0)]
)
def test_what_a_plugin_has_started_is_stopped(then, patience, status, tmp_path, suites, capsys):
    body = f"import os; os.system('cd {tmp_path}; setsid sleep 1000 & (sleep 1000 &); sleep 1000 & exit'); {then}"
    body = body.replace("; while", "\n        while")
    chosen = ("--defense", "mine-parent", "--attack", "gan-leaks", "--plugin-timeout", patience)
    assert run_tiny(tmp_path, "--plugin", written(tmp_path, "mine-parent", body), *chosen) == status
    assert str(tmp_path) not in [process.info["cwd"] for process in psutil.process_iter(["cwd"])]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.py", None, "there is no such file"),
        ("empty.py", "", "registers nothing; put @defenses.register"),
        ("syntax.py", "def", "cannot be imported: SyntaxError"),
        (
            "vague.py",
            "from attacks.registry import Attack, attacks\n@attacks.register('v')\nclass V(Attack): needs = ()",
            "V.family must be one of gradient",
        ),
        ("twice.py", HEAD.replace("NAME", "identity").replace("BODY", "pass"), "is registered already"),
        ("no.such.module", None, "cannot be imported: ModuleNotFoundError"),
    ],
)
def test_what_cannot_be_loaded_is_said(name, content, message, tmp_path, capsys):
    file = tmp_path / name if name.endswith(".py") else name
    if content is not None:
        file.write_text(content)
    assert call("check", file) == 2
    assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_an_installed_distribution_is_found(tmp_path):
    """In a folder of its own, so that the environment is left as it was."""
    target = tmp_path / "site"
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        target,
        EXAMPLE.parent.parent,
    ]
    subprocess.run(install, check=True)
    paths = os.environ | {"PYTHONPATH": f"{target}:{ROOT}"}
    command = [sys.executable, "-m", "benchmarks.cli", "list", "defenses"]
    found = subprocess.run(command, env=paths, cwd=tmp_path, capture_output=True, check=True)
    assert b"posterize" in found.stdout
