"""Nothing private leaves by our own doing: over everything registered, and a plug-in of each role."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import binomtest

from leakbench.benchmarks.execution import plugins
from leakbench.benchmarks.execution.cell import without_release
from leakbench.benchmarks.execution.executors import run_plugin_cell
from leakbench.benchmarks.stages import publish
from leakbench.benchmarks.stages.context import RunContext
from leakbench.benchmarks.storage.run_folder import RunFolder
from leakbench.benchmarks.storage.store import Store
from leakbench.benchmarks.suite import public
from leakbench.benchmarks.suite.graph import plan
from leakbench.benchmarks.suite.model import load_suite
from leakbench.benchmarks.suite.spec import defense_of
from leakbench.reports.epsilon import epsilon
from leakbench.reports.records import read_records
from leakbench.reports.verdicts import Results
from leakbench.synth import guard
from leakbench.synth.data.datasets import DATASETS, Pool, open_pool
from leakbench.synth.data.split import split
from leakbench.synth.defense import Synthesizer
from leakbench.synth.registry import defenses
from leakbench.synth.seeds import derive_seed
from tests.benchmarks.conftest import TINY, call, pictures, run_tiny
from tests.synth.defenses.test_defenses import SMALL

PLUGIN = Path(__file__).parent / "leaking_plugin.py"
SHOWING = ("mine-copies", "mine-turned", "mine-negative", "mine-hides", "mine-launders")
"""Plug-ins that release members, and do not say so."""
NO_RELEASE = {
    "mine-whispers": "soft_labels must be one row per image",
    "mine-frames": "released images must be as large as the members",
    "mine-leaves": "SystemExit: 0",
}
"""Plug-ins whose release is none, with what is said of it."""
MINE = (*SHOWING, *NO_RELEASE, "mine-trains", "mine-shares")
NAMES = sorted(defenses)
TINY_LOOKS = {"dp-sgd": {"steps": 1, "batch_size": 60}, "dp-linear-probe": {"epsilon": 8, "side": 32}}


@pytest.fixture(autouse=True)
def few_digits(monkeypatch):
    """The first 300 of them: what --public gives is compared with all images of a dataset."""
    whole = DATASETS["digits"]

    def few(data, image_size):
        pool = whole.open(data, image_size)
        return replace(pool, labels=pool.labels[:300])

    monkeypatch.setitem(DATASETS, "digits", replace(whole, open=few))


def spec(name):
    parameters = SMALL.get(name, {}) | TINY_LOOKS.get(name, {})
    return name + ":" * bool(parameters) + ",".join(f"{key}={value}" for key, value in parameters.items())


def private_of(suite):
    """The members of the first seed that are nobody else's as well, in every way in which they may be turned."""
    parts = split(open_pool("digits", None, None), suite.sizes, seed=derive_seed(suite.hash, "split", 0))
    public = {guard.digest(image) for shown in guard.every_way(parts.public.pixels) for image in shown}
    return {guard.digest(image) for shown in guard.every_way(parts.members.pixels) for image in shown} - public


ATTACKS = ("gan-leaks", "inverting-gradients:iterations=1", "loss-threshold")


def test_a_run_publishes_nobody(tmp_path, suites, capfd):
    """Of every defense there is: who shows members says so and lies apart."""
    (suites / "tiny.toml").write_text(TINY.replace('["lenet", "resnet20"]', '["lenet"]'))
    specs = list(map(spec, NAMES))
    chosen = [part for one in specs for part in ("--defense", one)]
    assert run_tiny(tmp_path, *chosen, *(part for attack in ATTACKS for part in ("--attack", attack))) == 0
    run, private = tmp_path / "run", private_of(load_suite("tiny"))
    assert not private & pictures(run / "releases").keys()
    assert len(private & pictures(run / "not-for-publication").keys()) >= 50, "identity's are there, and are seen"
    apart = {json.loads(f.read_text())["defense"] for f in run.glob("not-for-publication/*/release.json")}
    publishable = {json.loads(f.read_text())["defense"] for f in run.glob("releases/*/release.json")}
    facts = ("shows_members", "reads_public", "relies_on_randomness")  # public images are a part of the digits here
    shows = {one for one in specs if any(getattr(defense_of(one), fact) for fact in facts)}
    assert apart == shows
    assert publishable == {spec(n) for n in NAMES if issubclass(defenses[n], Synthesizer)} - shows
    assert {"identity", "disjoint", spec("subset"), "leaky", "noise", "instahide", spec("dp-merf")} <= apart
    table = (run / "tables" / "T2.md").read_text()
    assert "a part of the dataset (simulation)" in table
    cells = by_name(read_records(run / "records.jsonl").values())
    assert cells["instahide", "visual"].public == "a part of the dataset (simulation)"
    assert cells["noise", "visual"].public == ""
    assert "known seed" in cells["dp-sgd", "lenet"].claim["void"]
    trained = {"lenet", "loss-threshold"}
    assert claimed(cells, "dp-sgd") == dict.fromkeys(trained, 8.0)
    assert {what for (name, what), r in cells.items() if name == "dp-sgd" and r.status == "ok"} == trained
    assert claimed(cells, "dp-linear-probe") == dict.fromkeys({"linear-probe", "loss-threshold"}, 8.0)
    assert claimed(cells, "dp-merf").keys() == trained | {"release", "visual", "gan-leaks", "inverting-gradients"}
    assert not run.stat().st_mode & 0o077, "nobody else looks in"
    assert not [f for f in (tmp_path / "cache").rglob("*.*") if f.is_file() and f.stat().st_mode & 0o077]


def by_name(records):
    """Records by the name of the defense, and that of the attack, the student or the task."""
    return {(r.cell.defense.split(":")[0], r.cell.method.split(":")[0] or r.cell.task): r for r in records}


def claimed(cells, defense):
    """The epsilon that each of a defense's cells has in its record."""
    found = {what: r.claim for (name, what), r in cells.items() if name == defense}
    return {what: claim["epsilon"] for what, claim in found.items() if claim.get("kind") == "differential-privacy"}


def test_a_plugin_of_each_role_publishes_nobody(tmp_path, suites, unregister, cpu):
    """Copies are a failed cell, and nothing is written; of who releases nothing, what looks at a release says n/a."""
    plugins.load([str(PLUGIN)])
    suite = load_suite("tiny", defenses=MINE, attacks=ATTACKS)
    parts = split(open_pool("digits", None, None), suite.sizes, seed=0)
    run = tmp_path / "run"
    context = RunContext(
        suite, [parts].__getitem__, RunFolder(run), Store(tmp_path / "cache"), cpu, lambda done, total: None
    )
    grid = [cell for cell in plan(suite).cells if cell.task not in ("teacher", "oracle")]
    records = [without_release(context.folder, cell) or run_plugin_cell(context, (), cell) for cell in grid]
    cells = by_name(records)
    for name in SHOWING:
        assert "are private ones, byte for byte or turned" in cells[name, "release"].reason
    for name, reason in NO_RELEASE.items():
        assert reason in cells[name, "release"].reason
    assert not pictures(run / "releases") | pictures(run / "not-for-publication")
    status = {name: {what for (d, what), r in cells.items() if (d, r.status) == (name, "ok")} for name in MINE}
    wanted = {"mine-trains": {"lenet", "resnet20", "loss-threshold"}, "mine-shares": {"inverting-gradients"}}
    assert status == {name: wanted.get(name, set()) for name in MINE}
    absent = {name for (name, what), r in cells.items() if r.status == "not_applicable"}
    assert absent == {"mine-trains", "mine-shares"}
    assert claimed(cells, "mine-shares") == {"inverting-gradients": 1.0}
    assert epsilon(Results(records), "mine-shares", ATTACKS[1]).claim == 1.0


@pytest.mark.parametrize("name", NAMES)
def test_a_release_publishes_nobody(name, tmp_path, suites, others, capsys):
    (suites / "quick.toml").write_text(TINY.replace('name = "tiny"', 'name = "quick"'))
    out = tmp_path / "out"
    command = ("synthesize", spec(name), "--dataset", "digits", "--members", 60, "--public", others, "--out", out)
    status = call(*command)
    if not issubclass(defenses[name], Synthesizer):
        assert status == 2
        assert not out.exists()
        assert "releases no images; it publishes" in capsys.readouterr().err
        return
    assert status == 0
    warned = "not for publication" in capsys.readouterr().out
    call("synthesize", "identity", "--dataset", "digits", "--members", 60, "--out", tmp_path / "members")
    members = pictures(tmp_path / "members")
    declared = defense_of(spec(name)).shows_members
    shown = bool(members.keys() & pictures(out).keys())
    assert declared or not shown
    assert shown or name not in ("identity", "subset")
    said = json.loads((out / "release.json").read_text())
    assert ("not for publication" in said) == warned == declared
    assert said["seed"] == "of the operating system, not kept"
    assert said["claim"]["kind"] == ("differential-privacy" if name.startswith("dp-") else "none")
    assert said.get("public") == ("public" if defense_of(spec(name)).reads_public else None)


@pytest.mark.usefixtures("unregister")
def test_a_plugin_that_copies_leaves_nothing(tmp_path, suites, others, capsys):
    out = tmp_path / "out"
    wanted = dict.fromkeys(SHOWING, "are private ones, byte for byte or turned") | NO_RELEASE
    for name, said in wanted.items():
        more = ("--public", others) if name == "mine-launders" else ()
        assert call("synthesize", name, "--plugin", PLUGIN, "--dataset", "digits", "--out", out, *more) == 2
        assert said in " ".join(capsys.readouterr().err.split())
        assert not list(tmp_path.glob("out*")), "nothing is left, under no name"


DP_MERF = "dp-merf:epsilon=1,steps=2,features=20,num_images=10"


@pytest.mark.parametrize("name", [DP_MERF, "noise"])
def test_the_same_command_gives_another_release(name, tmp_path, others):
    def made(out, *more):
        command = ("synthesize", name, "--dataset", "digits", "--members", 60, "--public", others)
        assert call(*command, "--out", tmp_path / out, *more) == 0
        return pictures(tmp_path / out).keys(), json.loads((tmp_path / out / "release.json").read_text())

    assert made("one")[0] != made("two")[0]
    (first, said), (second, _) = made("three", "--seed", 5), made("four", "--seed", 5)
    assert first == second
    assert said["seed"] == "known"
    if name == DP_MERF:
        assert said["claim"]["kind"] == "void"
        assert "known seed" in said["claim"]["why"]


def test_a_claim_is_void_where_public_images_were_a_part_of_the_dataset():
    said = publish.about(DP_MERF, publish.synthesizer(DP_MERF), public=None, known_seed=False)
    assert said["claim"]["kind"] == "void"
    assert "leaves out" in said["claim"]["why"]
    assert said["public"] == publish.SIMULATED


class Rerunning:
    """Somebody who knows all members but one, and the command, makes the release with and without it, and compares."""

    def __init__(self, pool, others, cpu, seed):
        self.pool, self.others, self.cpu, self.seed = pool, others, cpu, seed
        self.suite = load_suite("quick")

    def made(self, folder, count):
        from leakbench.benchmarks.stages.synthesize import synthesize

        synthesize(
            self.suite, DP_MERF, self.pool, out=folder, seed=self.seed, members=count, device=self.cpu,
            public=self.others,
        )  # fmt: skip
        return torch.stack([torch.from_numpy(np.array(Image.open(f))) for f in sorted(folder.rglob("*.png"))]).float()

    def right(self, folder, trials):
        """How often the guess is right of whether the last of 40 members was in."""
        rng = torch.Generator().manual_seed(7)
        right = 0
        for trial in range(trials):
            was_in = bool(torch.rand((), generator=rng) < 0.5)
            released = self.made(folder / f"{trial}", 40 if was_in else 39)
            apart = [(self.made(folder / f"{trial}-{n}", n) - released).square().sum() for n in (40, 39)]
            right += (apart[0] < apart[1]).item() == was_in
        return right


def test_who_makes_the_published_release_again_learns_no_more_than_the_claim_allows(tmp_path, others, cpu, monkeypatch):
    """At epsilon 1, e / (1 + e) = 73 % right at most. The same attack on a known seed is always right."""
    monkeypatch.setattr(public, "_copies", lambda images, pool: set())  # sixty releases; nobody is in both
    digits, allowed = open_pool("digits", None, None), np.e / (1 + np.e)
    pool = Pool(digits.labels[:40], digits.classes, digits.draw)
    seeded = Rerunning(pool, others, cpu, 0).right(tmp_path / "seeded", 4)
    assert seeded == 4, "the attack works where there is something to find"
    right = Rerunning(pool, others, cpu, None).right(tmp_path / "secret", 16)
    assert binomtest(right, 16, allowed, alternative="greater").pvalue > 0.01


def test_a_release_that_reads_public_images_needs_them(tmp_path, capsys, others):
    out = tmp_path / "out"
    assert call("synthesize", DP_MERF, "--dataset", "digits", "--out", out) == 2
    assert "reads images of other people; give them by --public DIR" in " ".join(capsys.readouterr().err.split())
    members = tmp_path / "members"
    assert call("synthesize", "identity", "--dataset", "digits", "--members", 60, "--out", members) == 0
    assert call("synthesize", DP_MERF, "--dataset", "digits", "--out", out, "--public", members) == 2
    assert "60 of 60 images are copies of the dataset's own" in " ".join(capsys.readouterr().err.split())
    assert (
        call("synthesize", DP_MERF, "--dataset", "digits", "--members", 60, "--out", out, "--public", others / "3") == 0
    )


@pytest.mark.parametrize("name", [n for n in NAMES if n.startswith("dp-") and issubclass(defenses[n], Synthesizer)])
@pytest.mark.parametrize("epsilon", [pytest.param(0.005, marks=pytest.mark.slow), 1e-9])
def test_a_small_epsilon_is_kept_or_refused_in_a_sentence(name, epsilon, tmp_path, others, capsys):
    small = spec(name) + f",epsilon={epsilon}"
    out = tmp_path / "out"
    status = call("synthesize", small, "--dataset", "digits", "--members", 60, "--out", out, "--public", others)
    assert status == (2 if epsilon < 1e-6 else 0)
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "bad", ["dp-merf:delta=2", "dp-merf:delta=1e-30", "dp-bn-matching:network=nope", "mine-raises", "noise:sigma=1e-9"]
)
def test_whatever_goes_wrong_is_a_sentence_and_leaves_nothing(bad, tmp_path, others, unregister, capsys):
    file = tmp_path / "mine.py"
    text = PLUGIN.read_text().replace("raise SystemExit(0)", "raise KeyError('x')")
    file.write_text(text.replace("mine-leaves", "mine-raises"))
    out = tmp_path / "out"
    command = ("synthesize", bad, "--plugin", file, "--dataset", "digits", "--members", 60, "--public", others)
    assert call(*command, "--out", out) == 2
    said = capsys.readouterr().err
    assert bad.split(":")[0] in said
    assert "Traceback" not in said
    assert not list(tmp_path.glob("out*"))


def test_what_shows_private_images_is_shown_to_nobody_else(tmp_path):
    out = tmp_path / "out"
    assert call("synthesize", "identity", "--dataset", "digits", "--members", 20, "--out", out) == 0
    assert not out.stat().st_mode & 0o077
    (run := tmp_path / "run").mkdir(mode=0o755)
    with RunFolder(run).held():
        assert not run.stat().st_mode & 0o077, "also where it was there before"
