import json

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from leakbench.synth.data.image_files import DataProblems
from leakbench.synth.defense import Release
from leakbench.synth.images import Images
from leakbench.synth.release_files import load_release, save_release


def release(labels, soft=False, source=False, classes=("x", "y", "z")):
    rng = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (len(labels), 3, 8, 8), generator=rng, dtype=torch.uint8)
    images = Images(pixels, torch.tensor(labels), classes)
    return Release(
        images,
        soft_labels=torch.rand(len(labels), 3, generator=rng).softmax(1) if soft else None,
        sources=torch.randperm(len(labels), generator=rng) if source else None,
    )


@given(st.lists(st.integers(0, 2), min_size=1, max_size=12), st.booleans())
@settings(max_examples=20, deadline=None)
def test_what_is_read_back_is_what_was_saved(tmp_path_factory, labels, soft):
    folder = tmp_path_factory.mktemp("release") / "r"
    original = release(labels, soft=soft, source=True)
    published = save_release(original, folder, about={})
    loaded = load_release(folder)
    order = original.images.labels.argsort(stable=True)
    assert torch.equal(loaded.images.pixels, original.images.pixels[order])
    assert torch.equal(loaded.images.labels, original.images.labels[order])
    assert loaded.images.classes == original.images.classes
    assert torch.equal(published.sources, original.sources[order])
    if soft:
        torch.testing.assert_close(loaded.soft_labels, original.soft_labels[order], atol=1e-3, rtol=0)


def test_the_pairing_is_not_published(tmp_path):
    save_release(release([0, 1, 2], source=True), tmp_path / "r", about={"defense": "x"})
    loaded = load_release(tmp_path / "r")
    assert loaded.sources is None
    assert set(json.loads((tmp_path / "r" / "release.json").read_text())) == {"defense", "classes", "files"}
    assert not list((tmp_path / "r").glob("*.safetensors"))


def test_class_names_may_hold_anything_a_folder_can(tmp_path):
    names = ("<script>", "#import $x$", "ünï ‮ cödé 😀")
    save_release(release([2, 0, 1], classes=names), tmp_path / "r", about={})
    assert load_release(tmp_path / "r").images.classes == names


def test_damage_is_named(tmp_path):
    save_release(release([0, 1]), tmp_path / "r", about={})
    (tmp_path / "r" / "x" / "000000.png").write_bytes(b"")
    with pytest.raises(DataProblems, match=r"x/000000.png: is empty"):
        load_release(tmp_path / "r")
    (tmp_path / "r" / "x" / "000000.png").unlink()
    with pytest.raises(DataProblems, match=r"x/000000.png: is missing"):
        load_release(tmp_path / "r")
