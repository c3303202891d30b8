import json
import os
import threading
import time

import pytest
import torch

from leakbench.benchmarks.execution.runner import prepare_run
from leakbench.benchmarks.storage import environment
from leakbench.benchmarks.storage.environment import result_key
from leakbench.benchmarks.storage.run_folder import RunFolder
from leakbench.benchmarks.storage.store import Store, digest
from leakbench.benchmarks.suite.model import load_suite
from leakbench.benchmarks.suite.problems import RequestProblems
from leakbench.metrics.measurement import Measurement
from leakbench.reports.records import Cell, Record
from leakbench.synth.data.datasets import open_pool
from leakbench.synth.defense import Release
from leakbench.synth.defenses.dp_sgd import DPSGD
from leakbench.synth.images import Images
from leakbench.synth.networks.training import predict
from tests.benchmarks.conftest import run_tiny

WEIGHTS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(3)}


def refuse():
    raise AssertionError("computed twice")


def test_what_was_computed_is_not_computed_again(tmp_path):
    first = Store(tmp_path).tensors("network-x", lambda: WEIGHTS)
    again = Store(tmp_path).tensors("network-x", refuse)
    assert all(torch.equal(first[name], again[name]) and torch.equal(first[name], WEIGHTS[name]) for name in WEIGHTS)


@pytest.mark.parametrize("damage", [b"", b"half", None])
def test_a_damaged_entry_is_said_deleted_and_computed_again(damage, tmp_path, caplog):
    store = Store(tmp_path)
    store.put("network-x", b"the whole of it")
    (file,) = tmp_path.rglob("network-x.*")
    file.write_bytes(b"the whole of iT" if damage is None else damage)
    assert store.once("network-x", lambda: b"anew") == b"anew"
    assert "is damaged; it is computed again" in caplog.text
    assert [f.read_bytes() for f in tmp_path.rglob("network-x.*")] == [b"anew"]


def test_what_killed_processes_left_is_cleared_away_when_a_run_begins(tmp_path):
    store = Store(tmp_path)
    store.put("network-x", b"whole")
    old, new = (tmp_path / "-x" / f".network-x.{name}.part" for name in ("old", "new"))
    for part in (old, new):
        part.touch()
    os.utime(old, (0, 0))
    store.put("network-x", b"whole")
    assert old.exists(), "looking through the whole cache is not for every entry"
    store.prepare()
    assert (old.exists(), new.exists()) == (False, True), "somebody may still write the new one"


def test_students_that_a_defense_trains_are_kept(suites, tmp_path, monkeypatch, cpu):
    spec = "dp-sgd:epsilon=50,steps=1,batch_size=60"
    suite = load_suite("tiny", defenses=[spec], attacks=[])
    pool = open_pool("digits", None, None)
    config = prepare_run(suite, pool, out=tmp_path / "run", cache=tmp_path / "cache", device=cpu)
    first = config.context().student(spec, 0, "resnet20", "hard").network
    monkeypatch.setattr(DPSGD, "train", lambda *_, **__: refuse())
    again = config.context().student(spec, 0, "resnet20", "hard").network
    pixels = config.splits[0].test.pixels
    assert torch.equal(*(predict(network, pixels, device=cpu) for network in (first, again)))


def test_what_is_not_to_be_kept_is_not(tmp_path):
    store = Store(tmp_path)
    assert store.once("record-x", lambda: None) is None
    assert store.once("record-x", lambda: b"fine") == b"fine"


def test_others_of_the_machine_do_not_see_it(tmp_path):
    Store(tmp_path / "cache").put("network-x", b"private")
    assert (tmp_path / "cache").stat().st_mode & 0o077 == 0


def test_an_exception_leaves_no_entry_and_no_part(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(AssertionError):
        store.once("network-x", refuse)
    assert not [f for f in tmp_path.rglob("*") if f.is_file() and f.parent.name != "locks"]
    assert store.once("network-x", lambda: b"fine") == b"fine"


def test_two_at_once_compute_once(tmp_path):
    calls = []

    def slow():
        calls.append(1)
        time.sleep(0.3)
        return b"x"

    threads = [threading.Thread(target=lambda: Store(tmp_path).once("network-x", slow)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


def test_other_code_schema_threads_and_images_are_other_keys(monkeypatch, cpu):
    images = Images(torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.tensor([0, 1]), ("a", "b"))
    keys = [result_key("network", ("synth",), cpu, "spec", images)]
    keys.append(result_key("network", ("synth",), cpu, "spec", Images(images.pixels, images.labels, ("a", "c"))))
    wide = Images(images.pixels.reshape(2, 3, 2, 8), images.labels, images.classes)
    keys.append(result_key("network", ("synth",), cpu, "spec", wide))
    keys.append(result_key("network", ("synth", "attacks"), cpu, "spec", images))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    keys.append(result_key("network", ("synth",), cpu, "spec", images))
    monkeypatch.undo()
    monkeypatch.setattr(environment, "SCHEMA", 99)
    keys.append(result_key("network", ("synth",), cpu, "spec", images))
    monkeypatch.undo()
    assert len(set(keys)) == len(keys)
    assert result_key("network", ("synth",), cpu, "spec", images) == keys[0]


def test_the_code_of_a_package_is_part_of_its_keys():
    assert environment.code("synth") != environment.code("attacks") != environment.code("synth", "attacks")
    assert not environment.is_plugin(Images)
    assert environment.is_plugin(Cellular)


class Cellular:
    """A class of nobody's package."""


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_cache_is_a_sentence(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(RequestProblems, match=r"cannot be written|Permission denied"):
        Store(tmp_path / "cache").prepare()


def test_a_cache_that_is_a_file_is_a_sentence(suites, tmp_path, capsys):
    (tmp_path / "cache").touch()
    assert run_tiny(tmp_path) == 2
    assert "--cache" in capsys.readouterr().err


@pytest.fixture
def published(tmp_path):
    """A run folder with a release, its pairing, and a gallery."""
    folder = RunFolder(tmp_path / "run")
    images = Images(
        torch.arange(2 * 3 * 4 * 4, dtype=torch.uint8).reshape(2, 3, 4, 4), torch.tensor([0, 1]), ("a", "b")
    )
    soft = torch.tensor([[0.9, 0.1], [0.2, 0.8]])
    release = Release(images, soft_labels=soft, sources=torch.tensor([[1], [0]]))
    folder.open({"identity": {}})
    folder.save_release(release, "blur", 0, {"defense": "blur"})
    return folder


def test_what_a_cell_leaves_behind_travels(published, tmp_path):
    cell = Cell(suite="s", dataset="d", defense="blur", task="release")
    measured = Measurement(name="release.images", value=2.0, n=1, better="higher", unit="images")
    packed = published.pack(cell, Record(cell=cell, status="ok", measurements=(measured,)))
    assert published.pack(cell, Record(cell=cell, status="ok", measurements=(measured,))) == packed
    elsewhere = RunFolder(tmp_path / "elsewhere")
    assert elsewhere.unpack(packed).measurements == (measured,)
    (one, source), (other, paired) = (folder.load_release("blur", 0) for folder in (published, elsewhere))
    assert torch.equal(one.images.pixels, other.images.pixels)
    assert torch.equal(one.soft_labels, other.soft_labels)
    assert torch.equal(source, paired)
    assert sorted(f.name for f in elsewhere.root.iterdir()) == ["judge", "not-for-publication"], (
        "nothing temporary stays"
    )


def test_an_archive_never_leaves_the_folder(tmp_path):
    import io
    import tarfile

    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("../outside"), io.BytesIO())
    with pytest.raises(tarfile.FilterError):
        RunFolder(tmp_path / "run").unpack(content.getvalue())
    assert not (tmp_path / "outside").exists()


def test_a_digest_hashes_what_it_is_given():
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) != digest({"a": 1})
    assert digest("a", "b") != digest("ab")
    assert len(json.dumps(digest("a"))) == 26
