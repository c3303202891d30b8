from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from PIL import Image

from leakbench.synth.data import datasets
from leakbench.synth.data.datasets import open_pool
from leakbench.synth.data.image_files import DataProblems
from leakbench.synth.data.split import Sizes, split, stratified_order
from leakbench.synth.seeds import seeded_rng


def paint(file, size=(16, 16), mode="RGB", colour=None):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour if colour is not None else 0).save(file)


@pytest.fixture
def folder(tmp_path):
    """Two classes of 12 good images."""
    root = tmp_path / "photos"
    for label in ("cat", "dog"):
        for i in range(12):
            paint(root / label / f"{i:02d}.png", colour=(i * 10, 0, 0))
    return root


def problems(root, image_size=None):
    with pytest.raises(DataProblems) as caught:
        open_pool("imagefolder", root, image_size)
    return "\n".join(caught.value.problems)


def test_digits_are_real_and_embedded(digits):
    assert digits.members.pixels.shape == (200, 3, 32, 32)
    assert len(open_pool("digits", None, None).labels) == 1797
    assert digits.members.pixels.float().std() > 50


@given(st.integers(0, 10_000))
@settings(max_examples=5, deadline=None)
def test_parts_are_disjoint_and_seeded(seed):
    pool = open_pool("digits", None, None)
    seen = []
    pool = datasets.Pool(pool.labels, pool.classes, lambda index: seen.append(index) or pool_images(index))
    sizes = Sizes(members=300, auxiliary=100, test=200)
    first, second = split(pool, sizes, seed=seed), split(pool, sizes, seed=seed)
    assert torch.equal(first.members.labels, second.members.labels)
    drawn = torch.cat(seen[:5])
    assert len(drawn) == len(drawn.unique()) == 300 * 3 + 100 + 200
    assert [part.tolist() for part in seen[:5]] == [part.tolist() for part in seen[5:]]


def pool_images(index):
    return torch.zeros(len(index), 3, 8, 8, dtype=torch.uint8)


@given(st.lists(st.integers(0, 3), min_size=20, max_size=200), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_any_slice_has_the_classes_in_proportion(labels, seed):
    labels = torch.tensor(labels)
    order = stratified_order(labels, seeded_rng("test", seed))
    half = labels[order[: len(labels) // 2]]
    for label in labels.unique():
        assert abs((half == label).sum() - (labels == label).sum() / 2) <= 2


def test_small_datasets_are_shared_out(folder):
    parts = split(open_pool("imagefolder", folder, None), Sizes(members=1000, auxiliary=500, test=1000), seed=1)
    assert len(parts.members) == len(parts.holdout) == 5
    assert parts.members.classes == ("cat", "dog")


def test_a_class_too_rare_for_every_part_is_named(folder):
    for i in range(12, 400):
        paint(folder / "cat" / f"{i}.png")
    with pytest.raises(DataProblems, match="the class 'dog' has 12 images: too few"):
        split(open_pool("imagefolder", folder, None), Sizes(members=50, auxiliary=10, test=10), seed=0)


def test_train_and_test_folders(folder, tmp_path):
    root = tmp_path / "both"
    root.mkdir()
    folder.rename(root / "train")
    for label in ("cat", "dog"):
        paint(root / "test" / label / "x.png", colour=(255, 255, 255))
    parts = split(open_pool("imagefolder", root, None), Sizes(members=6, auxiliary=6, test=10), seed=0)
    assert len(parts.test) == 2
    assert parts.test.pixels.min() == 255
    paint(root / "test" / "bird" / "x.png")
    assert "bird" in problems(root)


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("L", 200, (200, 200, 200)),
        ("1", 1, (255, 255, 255)),
        ("RGBA", (255, 0, 0, 0), (255, 255, 255)),
        ("LA", (0, 255), (0, 0, 0)),
        ("I;16", 65535, (255, 255, 255)),
        ("I;16", 25700, (100, 100, 100)),
    ],
)
def test_modes_are_converted(folder, mode, colour, expected):
    paint(folder / "cat" / "00.png", mode=mode, colour=colour)
    assert tuple(open_pool("imagefolder", folder, None).draw(torch.tensor([0]))[0, :, 3, 3].tolist()) == expected


def test_palette_and_cmyk(folder):
    image = Image.new("P", (16, 16), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.save(folder / "cat" / "00.png")
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(folder / "cat" / "01.tif")
    (folder / "cat" / "01.png").unlink()
    drawn = open_pool("imagefolder", folder, None).draw(torch.tensor([0, 1]))
    assert drawn[0, :, 0, 0].tolist() == [10, 20, 30]
    assert drawn[1, 0, 0, 0] > 230
    assert drawn[1, 1, 0, 0] < 60


def test_exif_rotation(folder):
    array = np.zeros((16, 16, 3), np.uint8)
    array[0] = 255  # a white line on top; orientation 6 means: turn right, so it stands on the right
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(array).save(folder / "cat" / "00.png", exif=exif)
    drawn = open_pool("imagefolder", folder, None).draw(torch.tensor([0]))[0, 0]
    assert (drawn[:, -1] == 255).all()
    assert (drawn[:, 0] == 0).all()


def test_all_problems_are_listed_at_once(folder, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "cat" / "truncated.png")
    whole = (folder / "cat" / "truncated.png").read_bytes()
    (folder / "cat" / "truncated.png").write_bytes(whole[: len(whole) // 2])
    (folder / "cat" / "letter.png").write_text("Dear madam")
    (folder / "dog" / "empty.png").touch()
    outside = tmp_path / "outside.png"
    paint(outside)
    (folder / "dog" / "loop.png").symlink_to(folder / "dog" / "loop.png")
    paint(folder / "dog" / ".ipynb_checkpoints" / "copy.png", size=(3, 3))
    (folder / "dog" / "link.png").symlink_to(outside)
    (folder / "dog" / ".DS_Store").write_text("not mentioned")
    found = problems(folder)
    for sentence in (
        "cat/truncated.png: cannot be decoded",
        "cat/letter.png: is not an image",
        "dog/empty.png: is empty",
        "dog/link.png: is a link that leaves the folder",
    ):
        assert sentence in found
    assert ".DS_Store" not in found
    assert "dog/loop.png: is a link" in found
    assert len(found.splitlines()) == 5


def test_what_a_file_or_folder_hides_is_a_problem(folder, tmp_path):
    pages = [Image.new("RGB", (16, 16), (value, 0, 0)) for value in (0, 200)]
    pages[0].save(folder / "cat" / "pages.tiff", save_all=True, append_images=pages[1:])
    (folder / "dog" / "more").mkdir()
    (folder / "dog" / "linked").symlink_to(folder / "dog" / "more")
    found = problems(folder)
    assert "cat/pages.tiff: has 2 frames" in found
    assert len(found.splitlines()) == 1
    (folder / "cat" / "pages.tiff").unlink()
    (folder / "dog" / "linked" / "12.png").write_bytes((folder / "dog" / "00.png").read_bytes())
    assert len(open_pool("imagefolder", folder, None).labels) == 26, "a link within the folder is followed"
    (folder / "dog" / "more" / "round").symlink_to(folder / "dog")
    assert "round: is a link to a folder that it lies in" in problems(folder)


def test_a_photograph_with_its_preview_is_one_image(folder):
    views = [Image.new("RGB", (16, 16), (value, 0, 0)) for value in (200, 0)]
    views[0].save(folder / "cat" / "telephone.jpg", format="MPO", save_all=True, append_images=views[1:])
    pool = open_pool("imagefolder", folder, None)
    assert len(pool.labels) == 25
    assert pool.draw(torch.tensor([12]))[0, 0].float().mean() > 190, "the photograph, not its preview"


def test_a_folder_that_cannot_be_looked_into(folder, monkeypatch):
    look = Path.iterdir

    def refused(path):
        if path.name == "dog":
            raise PermissionError(13, "Permission denied", str(path))
        return look(path)

    monkeypatch.setattr(Path, "iterdir", refused)
    assert "dog: cannot be read (Permission denied)" in problems(folder)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_decompression_bomb(folder, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)
    assert "decompression bomb" not in "".join(open_pool("imagefolder", folder, None).classes)
    paint(folder / "cat" / "big.png", size=(20, 20))
    paint(folder / "cat" / "huge.png", size=(200, 200))
    found = problems(folder)
    assert "cat/big.png: claims 20 x 20 pixels" in found
    assert "cat/huge.png: is a decompression bomb" in found


def test_a_linked_class_folder(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (folder / "eel").symlink_to(tmp_path / "elsewhere")
    assert "eel: is a link that leaves the folder" in problems(folder)


def test_too_few_single_class_and_empty(folder, tmp_path):
    (folder / "dog" / "00.png").unlink()
    for i in range(1, 6):
        (folder / "dog" / f"{i:02d}.png").unlink()
    assert "dog: the class has 6 images" in problems(folder)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "holds no pictures" in problems(empty)
    paint(empty / "only" / "x.png")
    assert "single class 'only'" in problems(empty)
    assert "is not a folder" in problems(tmp_path / "missing")
    paint(folder / "loose.png")
    assert "loose.png lies in no class folder" in problems(folder)


def test_different_sizes_need_image_size(folder):
    paint(folder / "cat" / "wide.png", size=(32, 16), colour=(1, 2, 3))
    assert "--image-size" in problems(folder)
    assert open_pool("imagefolder", folder, 12).draw(torch.tensor([0, 12])).shape == (2, 3, 12, 12)


def test_imagenet_reads_its_val_folder_and_resizes(folder, tmp_path):
    root = tmp_path / "imagenet"
    root.mkdir()
    folder.rename(root / "train")
    for label in ("cat", "dog"):
        paint(root / "val" / label / "x.png", size=(20, 30))
    pool = open_pool("imagenet", root, 24)
    assert pool.draw(torch.tensor([0])).shape == (1, 3, 24, 24)
    assert pool.test.draw(torch.tensor([1])).shape == (1, 3, 24, 24)


def cifar_files(root, count=30):
    folder = root / "cifar-10-batches-bin"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]:
        records = rng.integers(0, 256, (count, 3073), dtype=np.uint8)
        records[:, 0] = np.arange(count) % 10
        records.tofile(folder / f"{name}.bin")
    return folder


def test_cifar10_reads_the_binary_version(tmp_path):
    folder = cifar_files(tmp_path)
    pool = open_pool("cifar10", tmp_path, None)
    assert len(pool.labels) == 150
    assert len(pool.test.labels) == 30
    first = np.fromfile(folder / "data_batch_1.bin", np.uint8)[1:3073].reshape(3, 32, 32)
    assert np.array_equal(pool.draw(torch.tensor([0]))[0].numpy(), first)


def test_cifar10_offline_says_where_to_put_which_file(tmp_path, monkeypatch):
    def offline(*args, **kwargs):
        raise datasets.URLError("no network")

    monkeypatch.setattr(datasets, "download_and_extract_archive", offline)
    with pytest.raises(DataProblems, match=r"put cifar-10-binary.tar.gz .* into"):
        open_pool("cifar10", tmp_path, None)
    (tmp_path / "cifar-10-binary.tar.gz").write_text("half a download")
    with pytest.raises(DataProblems, match="damaged"):
        open_pool("cifar10", tmp_path, None)


def test_unknown_names_and_missing_data():
    with pytest.raises(DataProblems, match="there is no dataset 'x'"):
        open_pool("x", None, None)
    with pytest.raises(DataProblems, match="needs --data"):
        open_pool("imagefolder", None, None)
