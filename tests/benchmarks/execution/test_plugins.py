import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import torch

from leakbench.benchmarks.execution import contained, contract, plugins
from leakbench.reports.records import read_records
from leakbench.synth.registry import defenses
from tests.benchmarks.conftest import call, run_tiny

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "tests" / "plugin_example" / "leakbench_posterize" / "__init__.py"

HEAD = """
from dataclasses import dataclass, replace
import torch
from leakbench import Claim, Images, Release, Synthesizer, register_defense

@register_defense("NAME")
@dataclass(frozen=True, kw_only=True)
class Mine(Synthesizer):
    reads_public = shows_members = True

    def release(self, members, resources):
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
    "nobody": ("return Release(members, sources=torch.tensor([0]))", "for each released image"),
    "untyped": ("return Release(members, soft_labels=[0.5])", "publishes_soft_labels must say"),
    "no-images": ("return Release(None)", "cannot be worked with: AttributeError"),
    "small": ("return Release(replace(members, pixels=members.pixels[:, :, ::2]))", "as large as the members"),
    "nothing": ("return None", "must return a Release, got NoneType"),
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
@register_defense("mine-leaving")
@dataclass(frozen=True, kw_only=True)
class Leaving(Synthesizer):
    def release(self, members, resources):
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


@pytest.mark.parametrize(
    "body", ["while True: pass", pytest.param("import re; re.match('(a+)+b', 'a' * 99)", marks=pytest.mark.slow)]
)
@pytest.mark.slow
def test_check_stops_what_does_not_end(body, tmp_path, monkeypatch):
    """Whether it lets go of the interpreter or not."""
    monkeypatch.setattr(contained, "GRACE", 4.0)
    begun = tmp_path / "begun"
    file = written(tmp_path, "timed_out", f"open({str(begun)!r}, 'w').close()\n        {body}")
    assert "took more than 12 seconds" in contract.check_apart(str(file), "timed_out", limit=12.0)
    assert begun.exists(), "it was stopped within release, not before"


@pytest.mark.slow
def test_a_defense_in_one_file_is_checked_and_run(tmp_path, suites, capsys):
    assert call("check", EXAMPLE) == 0
    assert "posterize: pass" in capsys.readouterr().out
    plugin = ("--plugin", EXAMPLE, "--defense", "posterize:levels=3", "--attack", "gan-leaks")
    assert run_tiny(tmp_path, *plugin) == 0
    assert "posterize" in (tmp_path / "run" / "tables" / "T6.csv").read_text()
    assert call("list", "defenses", "--plugin", EXAMPLE) == 0
    assert "posterize" in capsys.readouterr().out


@pytest.mark.slow
def test_another_source_is_another_run(tmp_path, suites, capsys):
    body = "return Release(members)"
    chosen = ("--defense", "mine-again", "--attack", "gan-leaks")
    assert run_tiny(tmp_path, "--plugin", written(tmp_path, "mine-again", body), *chosen) == 0
    file = written(tmp_path, "mine-again", body + "  # changed")
    assert run_tiny(tmp_path, "--plugin", file, *chosen) == 2
    assert "holds another run" in capsys.readouterr().err


@pytest.mark.slow
def test_nothing_that_a_plugin_changes_reaches_other_cells(tmp_path, suites, capsys):
    """Neither its input in place, nor torch's settings, nor anything by way of the cache."""
    body = "torch.set_grad_enabled(False); members.pixels.zero_(); resources.public.pixels.zero_()"
    body += "; return Release(members)"
    plugin = ("--plugin", written(tmp_path, "mine-careless", body), "--defense", "mine-careless")
    chosen = ("--defense", "identity", "--defense", "disjoint", "--attack", "gan-leaks")
    assert run_tiny(tmp_path, *plugin, *chosen) == 0
    assert run_tiny(tmp_path, *chosen, out="after") == 0
    assert run_tiny(tmp_path, *chosen, out="alone", cache="another") == 0
    found = [read_records(tmp_path / out / "records.jsonl") for out in ("run", "after", "alone")]
    for name, record in found[2].items():
        assert found[0][name].measurements == found[1][name].measurements == record.measurements


WAYS = {
    "raising": ("raise RuntimeError('boom')", "RuntimeError: boom"),
    "leaving": ("raise SystemExit(0)", "SystemExit: 0"),
    "timed_out": ("while True: pass", "it did not end within 5 s (--plugin-timeout)"),
    "ending": ("import os; os._exit(0)", "died (status 0), 2 times"),
    "interrupting": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "outside": ("return Release(members)", "died (status 3), 2 times"),
    "gone": ("return Release(members)", "cannot be imported: ImportError: gone"),
    "quitting": ("return Release(members)", "cannot be imported: SystemExit: 0"),
}
ELSEWHERE = {"quitting": "raise SystemExit(0)", "outside": "os._exit(3)", "gone": "raise ImportError('gone')"}
"""What happens as a file is imported where cells are computed."""


def run_broken(tmp_path, capfd, ways, *where):
    """A run of plug-ins that are broken in some ways, beside a defense that is not; the reasons, by way.

    What plug-ins print is no line of the log.
    """
    chosen = ["--defense", "identity", "--attack", "gan-leaks", "--threads", 1, "--json-logs", *where]
    for way in ways:
        file = written(tmp_path, way, WAYS[way][0])
        if way in ELSEWHERE:
            start = f"import os\nprint('hello')\nif os.getpid() != {os.getpid()}: {ELSEWHERE[way]}"
            file.write_text(start + file.read_text())
        chosen += ["--plugin", file, "--defense", way]
    assert run_tiny(tmp_path, *chosen) == 1
    found = read_records(tmp_path / "run" / "records.jsonl").values()
    assert {r.cell.defense for r in found if r.status == "ok"} == {"", "identity"}
    assert {r.status for r in found if r.cell.defense == "identity"} == {"ok"}
    events = [json.loads(line)["event"] for line in capfd.readouterr().out.splitlines()]
    assert (events.count("began"), events.count("finished")) == (1, len(found))
    return {r.cell.defense: r.reason for r in found if r.cell.task == "release"}


@pytest.mark.slow
def test_broken_plugins_cost_their_own_cells(tmp_path, suites, capfd):
    """Whatever they do, also to each other."""
    reasons = run_broken(tmp_path, capfd, WAYS, "--processes", 2, "--plugin-timeout", "5s")
    for way, (_, reason) in WAYS.items():
        assert reason in reasons[way]


@pytest.mark.slow
def test_broken_plugins_cost_their_own_cells_on_ray(tmp_path, suites, capfd, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    ways = [way for way in WAYS if way != "timed_out"]
    reasons = run_broken(tmp_path, capfd, ways, "--executor", "ray")
    for way in ways:
        assert (WAYS[way][1] if "died" not in WAYS[way][1] else "worker or node was lost") in reasons[way]


@pytest.mark.parametrize("given", ["never", "0"])
def test_a_timeout_is_a_time(given, tmp_path, suites, capsys):
    assert run_tiny(tmp_path, "--plugin-timeout", given) == 2
    assert f"--plugin-timeout {given}: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise SystemExit(0)", "cannot be built: SystemExit: 0"),
        ("Claim(kind='differential-privacy', epsilon=float('inf'))", "a claim's epsilon must be finite"),
    ],
)
def test_what_cannot_be_built_is_said(body, message, tmp_path, suites, capsys):
    head = HEAD.partition("    def")[0].replace("NAME", "mine-unbuilt").replace("import Synth", "import Claim, Synth")
    (file := tmp_path / "unbuilt.py").write_text(f"{head}    def __post_init__(self):\n        {body}\n")
    assert run_tiny(tmp_path, "--plugin", file, "--defense", "mine-unbuilt") == 2
    assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("then", "plugin_timeout", "status"),
    [("while True: pass", "2s", 1), pytest.param("return Release(members)", "10m", 0, marks=pytest.mark.slow)],
)
def test_what_a_plugin_has_started_is_stopped(then, plugin_timeout, status, tmp_path, suites, capsys):
    body = f"import os; os.system('cd {tmp_path}; setsid sleep 1000 & (sleep 1000 &); sleep 1000 & exit'); {then}"
    body = body.replace("; while", "\n        while")
    chosen = ("--defense", "mine-parent", "--attack", "gan-leaks", "--plugin-timeout", plugin_timeout)
    assert run_tiny(tmp_path, "--plugin", written(tmp_path, "mine-parent", body), *chosen) == status
    assert str(tmp_path) not in [process.info["cwd"] for process in psutil.process_iter(["cwd"])]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.py", None, "there is no such file"),
        ("empty.py", "", "registers nothing; put @register_defense"),
        ("syntax.py", "def", "cannot be imported: SyntaxError"),
        (
            "vague.py",
            "from leakbench import Attack, register_attack\n@register_attack('v')\nclass V(Attack): needs = ()",
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
    command = [sys.executable, "-m", "leakbench", "list", "defenses"]
    found = subprocess.run(command, env=paths, cwd=tmp_path, capture_output=True, check=True)
    assert b"posterize" in found.stdout
