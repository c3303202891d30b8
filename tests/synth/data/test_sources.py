"""Sources of pictures: the same pictures come out of every kind."""

import io
import json
import tarfile
import zipfile
from pathlib import Path

import datasets as hugging_face
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pydicom
import pytest
import torch
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from torch.utils.data import TensorDataset
from torchvision.datasets import FakeData

from leakbench.synth.data import image_files
from leakbench.synth.data.datasets import open_pool
from leakbench.synth.data.image_files import DataProblems
from leakbench.synth.data.pictures import by_their_depth, class_names, parts, to_square
from leakbench.synth.data.sources import open_pictures
from leakbench.synth.images import Images

COUNT = 6
CLASSES = ("cat", "dog")


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (COUNT, 12, 10, 3), dtype=np.uint8)


def png(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def label(i):
    return i % 2


def as_folder(path, pixels):
    for i, array in enumerate(pixels):
        file = path / CLASSES[label(i)] / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(array))
    (path / "metadata.csv").write_text("file,label\n")
    (path / "Thumbs.db").write_text("x")
    (path / ".DS_Store").write_text("x")
    return path


def as_zip(path, pixels):
    with zipfile.ZipFile(path / "a.zip", "w") as archive:
        for i, array in enumerate(pixels):
            archive.writestr(f"photos/{CLASSES[label(i)]}/{i}.png", png(array))
        archive.writestr("__MACOSX/photos/._0.png", b"x")
        archive.writestr("photos/labels.csv", "x")
    return path / "a.zip"


def as_tar(path, pixels, name="a.tar", mode="w"):
    with tarfile.open(path / name, mode) as archive:
        for i, array in enumerate(pixels):
            add(archive, f"photos/{CLASSES[label(i)]}/{i}.png", png(array))
    return path / name


def add(archive, name, content):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def as_webdataset(path, pixels):
    with tarfile.open(path / "shard-0.tar", "w") as archive:
        for i, array in enumerate(pixels):
            add(archive, f"{i:04d}.png", png(array))
            add(archive, f"{i:04d}.cls", CLASSES[label(i)].encode())
            add(archive, f"{i:04d}.json", b"{}")
    return path / "shard-0.tar"


def labels_of(pixels):
    return np.array([label(i) for i in range(len(pixels))])


def as_npz(path, pixels):
    """Of DPImageBench: floats of 0 to 1, channels first."""
    np.savez(path / "a.npz", x=pixels.transpose(0, 3, 1, 2) / 255, y=labels_of(pixels))
    return path / "a.npz"


def as_guided_diffusion(path, pixels):
    np.savez(path / "a.npz", pixels, labels_of(pixels))
    return path / "a.npz"


def as_npy(path, pixels):
    np.save(path / "a.npy", pixels)
    return path / "a.npy"


def as_pt(path, pixels):
    """Floats of -1 to 1, as generators make them."""
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
    torch.save((images, torch.from_numpy(labels_of(pixels))), path / "a.pt")
    return path / "a.pt"


def as_parquet(path, pixels):
    cells = [{"bytes": png(array), "path": None} for array in pixels]
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": list(CLASSES)}}
    table = pa.table({"image": cells, "label": labels_of(pixels)})
    about = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    pq.write_table(table.replace_schema_metadata(about), path / "a.parquet", row_group_size=4)
    return path / "a.parquet"


def as_tensor(path, pixels):
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def as_array(path, pixels):
    return pixels


def as_torch_dataset(path, pixels):
    return TensorDataset(as_tensor(path, pixels), torch.from_numpy(labels_of(pixels)))


def as_hugging_face(path, pixels):
    rows = {"image": [Image.fromarray(array) for array in pixels], "label": labels_of(pixels).tolist()}
    made = hugging_face.Dataset.from_dict(rows)
    features = made.features.copy()
    features["image"], features["label"] = hugging_face.Image(), hugging_face.ClassLabel(names=list(CLASSES))
    return made.cast(features)


def as_images(path, pixels):
    return Images(as_tensor(path, pixels), torch.from_numpy(labels_of(pixels)), CLASSES)


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


def dicom(path, values, **fields):
    meta = FileMetaDataset()
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.Rows, data.Columns = pydicom.uid.SecondaryCaptureImageStorage, *values.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    data.PixelData = values.astype(np.uint16).tobytes()
    for key, value in fields.items():
        setattr(data, key, value)
    data.save_as(path, enforce_file_format=True)


def test_dicom_through_its_window(tmp_path):
    """Level 1000, width 200: what is below 900 is black, above 1100 white; and the other way round."""
    values = np.array([[0, 890], [1000, 2000]])
    dicom(tmp_path / "a.dcm", values, WindowCenter=1000, WindowWidth=200)
    dicom(tmp_path / "b.dcm", values, WindowCenter=1000, WindowWidth=200, PhotometricInterpretation="MONOCHROME1")
    dicom(tmp_path / "c.dcm", values)
    found = opened(tmp_path)
    seen = [found.decode(i)[:, :, 0].ravel().tolist() for i in range(3)]
    assert seen[0] == [0, 0, pytest.approx(128, abs=2), 255]
    assert seen[1] == [255, 255, pytest.approx(128, abs=2), 0]
    assert seen[2] == [0, pytest.approx(890 / 2000 * 255, abs=1), pytest.approx(127.5, abs=1), 255]
    (tmp_path / "d.dcm").write_bytes(b"x" * 200)
    assert "d.dcm: cannot be decoded as DICOM" in opened(tmp_path).decode(3)


def test_heif(tmp_path, pixels):
    import pillow_heif

    smooth = np.full((32, 48, 3), 200, np.uint8)
    pillow_heif.from_pillow(Image.fromarray(smooth)).save(tmp_path / "a.heic")
    seen = opened(tmp_path).decode(0)
    assert seen.shape == (32, 48, 3)
    assert abs(int(seen.mean()) - 200) <= 3


@pytest.mark.parametrize(("name", "extra"), [("a.heic", "heif"), ("a.dcm", "dicom")])
def test_what_is_missing_is_said(name, extra, tmp_path, monkeypatch):
    (tmp_path / name).write_bytes(b"x" * 200)

    def missing(module):
        raise ImportError(module)

    monkeypatch.setattr(image_files.importlib, "import_module", missing)
    assert f"pip install 'leakbench[{extra}]'" in opened(tmp_path).decode(0)


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
