"""Sources of pictures: the same pictures come out of every kind."""

import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import FakeData

from leakbench.synth.data.datasets import open_pool
from leakbench.synth.data.image_files import DataProblems
from leakbench.synth.data.pictures import by_their_depth, class_names, parts, to_square
from leakbench.synth.data.sources import open_pictures
from tests.synth.data.written_sources import (
    CLASSES,
    COUNT,
    add,
    as_array,
    as_folder,
    as_guided_diffusion,
    as_hugging_face,
    as_images,
    as_npy,
    as_npz,
    as_parquet,
    as_pt,
    as_tar,
    as_tensor,
    as_torch_dataset,
    as_webdataset,
    as_zip,
    label,
    labels_of,
    png,
)


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (COUNT, 12, 10, 3), dtype=np.uint8)


KINDS = {
    as_folder: CLASSES,
    as_zip: CLASSES,
    as_tar: CLASSES,
    as_webdataset: CLASSES,
    as_npz: ("0", "1"),
    as_guided_diffusion: ("0", "1"),
    as_npy: None,
    as_pt: ("0", "1"),
    as_parquet: CLASSES,
    as_tensor: None,
    as_array: None,
    as_torch_dataset: ("0", "1"),
    as_hugging_face: CLASSES,
    as_images: CLASSES,
}


def opened(source):
    problems = []
    found = open_pictures(source, problems, "--private")
    assert problems == []
    return found


def refused(source):
    problems = []
    assert len(open_pictures(source, problems, "--private")) == 0
    return "\n".join(problems)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_pictures_come_out(kind, pixels, tmp_path):
    found = opened(kind(tmp_path, pixels))
    assert len(found) == COUNT
    classes = class_names(found)
    shown = {array.tobytes(): name for array, name in zip(map(found.decode, range(COUNT)), classes, strict=True)}
    expected = KINDS[kind]
    assert shown == {array.tobytes(): expected[label(i)] if expected else "" for i, array in enumerate(pixels)}
    assert found.headers()[0][0] == (10, 12), "width and height"


@pytest.mark.parametrize("kind", [as_folder, as_zip, as_webdataset, as_npz, as_parquet])
def test_a_dataset_of_every_kind_can_be_run_on(kind, pixels, tmp_path):
    many = np.concatenate([pixels] * 4)
    pool = open_pool("imagefolder", kind(tmp_path, many), 8)
    assert len(pool.labels) == 24
    assert pool.classes == KINDS[kind]
    assert pool.draw(torch.tensor([0, 5])).shape == (2, 3, 8, 8)


def test_compressed_archives_and_shards(pixels, tmp_path):
    whole = opened(as_tar(tmp_path, pixels, "b.tar.gz", "w:gz"))
    assert [whole.decode(i).tobytes() for i in range(COUNT)] == [
        array.tobytes() for array in [*pixels[::2], *pixels[1::2]]
    ]
    (tmp_path / "b.tar.gz").unlink()
    for part in range(2):
        (tmp_path / "s").mkdir(exist_ok=True)
        as_tar(tmp_path / "s", pixels, f"{part}.tar")
    both = opened(tmp_path / "s")
    assert len(both) == 2 * COUNT
    assert len(set(both.names)) == 2 * COUNT
    assert set(class_names(both)) == set(CLASSES)


def test_parts_of_medmnist_are_no_classes(pixels, tmp_path):
    given = {
        f"{part}_{what}": array
        for part in ("train", "val", "test")
        for what, array in (("images", pixels), ("labels", labels_of(pixels)[:, None]))
    }
    np.savez(tmp_path / "m.npz", **given)
    found = opened(tmp_path / "m.npz")
    train, test = parts(found)
    assert (len(found), len(train), len(test)) == (3 * COUNT, COUNT, COUNT)
    assert set(class_names(found)) == set(class_names(train)) == {"0", "1"}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.zip", b"no archive", "is not a zip archive"),
        ("a.tar", b"no archive", "is not a tar archive"),
        ("a.tar.gz", b"\x1f\x8bno archive", "is not a tar archive"),
        ("a.npz", b"no arrays", "cannot be read"),
        ("a.npy", b"no array", "cannot be read"),
        ("a.pt", b"no tensor", "cannot be read as tensors alone"),
        ("a.parquet", b"no table", "is not a parquet file"),
        ("a.doc", b"x", "is no source of pictures"),
    ],
)
def test_damaged_sources_are_named(name, content, said, tmp_path):
    (tmp_path / name).write_bytes(content)
    assert said in refused(tmp_path / name)
    assert f"--private {tmp_path / name}" in refused(tmp_path / name)


def test_no_code_of_a_source_is_run(tmp_path):
    torch.save({"x": Path("a")}, tmp_path / "a.pt")
    assert "cannot be read as tensors alone" in refused(tmp_path / "a.pt")
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object), allow_pickle=True)
    assert "cannot be read" in refused(tmp_path / "a.npy")


def test_what_arrays_must_be(pixels, tmp_path):
    assert "has an array of 6 x 12; pictures are" in refused(pixels[:, :, 0, 0])
    assert "values lie in -300 to -" in refused(np.full((2, 4, 4), -300.0) * [[[0, 1, 1, 1]]])
    assert "not finite" in refused(np.full((2, 4, 4), np.nan))
    np.savez(tmp_path / "a.npz", z=pixels)
    assert "holds z; pictures are looked for under x, " in refused(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", x=pixels, y=np.arange(3))
    assert "has 6 pictures and labels of shape (3,)" in refused(tmp_path / "a.npz")
    assert "is a int; give a folder" in refused(3)
    assert "the first item is a str" in refused(["a"])
    assert "holds no pictures" in refused(pixels[:0])


def test_ranges_are_said(pixels):
    found = opened(pixels.astype(np.uint16) * 16)
    assert found.notes == ["--private: values of uint16 in 0 to 4080 are taken for 0 to 4095"]
    assert np.abs(found.decode(0).astype(int) - pixels[0]).max() <= 1
    assert opened(pixels).notes == []


def test_deep_pictures_are_scaled_by_their_source(tmp_path):
    """Two pictures of 12 bits in 16, of which one is dark: it stays dark."""
    for name, most in (("a", 400), ("b", 4080)):
        Image.fromarray(np.full((8, 8), most, np.uint16)).save(tmp_path / f"{name}.png")
    found = by_their_depth(opened(tmp_path))
    assert [int(found.decode(i).max()) for i in range(2)] == [24, 254]
    assert found.notes == [f"{tmp_path}: 2 pictures of 16 bits use 12 and are scaled by them"]


def test_archives_with_a_password_and_labels_with_a_slash(pixels, tmp_path):
    path = as_zip(tmp_path, pixels)
    content = bytearray(path.read_bytes())
    for start in (content.find(b"PK\x01\x02"), content.find(b"PK\x03\x04")):
        content[start + (8 if content[start + 2] == 1 else 6)] |= 1
    path.write_bytes(content)
    assert "has a password" in refused(path)
    with tarfile.open(tmp_path / "w.tar", "w") as archive:
        add(archive, "0.png", png(pixels[0]))
        add(archive, "0.cls", b"../../etc")
    assert class_names(opened(tmp_path / "w.tar")) == [".._.._etc"]


def test_datasets_of_torchvision():
    found = opened(FakeData(size=3, image_size=(3, 9, 7), num_classes=2))
    assert found.decode(0).shape == (9, 7, 3)
    assert set(class_names(found)) <= {"0", "1"}


def test_both_ways_to_a_square():
    wide = np.zeros((4, 8, 3), np.uint8)
    wide[:, :2] = 255
    assert to_square(wide, 4, "crop").max() <= 40, "the bar lies outside the middle"
    assert to_square(wide, 4, "squeeze")[:, 0].min() > 200


def test_problems_of_all_are_collected(tmp_path):
    problems = []
    open_pictures(tmp_path / "a", problems, "--private")
    open_pictures(tmp_path / "b", problems, "--released")
    assert len(problems) == 2
    with pytest.raises(DataProblems, match="--data"):
        open_pool("imagefolder", tmp_path / "c.zip", None)
