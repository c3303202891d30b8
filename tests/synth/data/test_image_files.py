"""Files of one picture: what of their depth, fields and formats is read, and what is said of the rest."""

import struct

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset

from leakbench.synth.data import image_files
from leakbench.synth.data.image_files import to_rgb
from leakbench.synth.data.sources import open_pictures


def opened(source):
    problems = []
    found = open_pictures(source, problems, "--private")
    assert problems == []
    return found


@pytest.mark.parametrize(("largest", "expected"), [(255, 255), (1020, 254), (4080, 254), (16320, 254), (65535, 255)])
def test_deep_images_are_scaled_by_the_bits_they_use(largest, expected):
    """12 bits of a scanner in a file of 16: scaled by 16 they were black."""
    deep = np.linspace(0, largest, 64).reshape(8, 8).astype(np.uint16)
    seen = np.asarray(to_rgb(Image.fromarray(deep)))
    assert seen.min() == 0
    assert abs(int(seen.max()) - expected) <= 1
    assert (np.diff(seen[:, :, 0].ravel().astype(int)) >= 0).all()


def test_a_broken_exif_field_is_no_broken_picture(tmp_path):
    """Its orientation is said, and its resolution is a negative fraction, which Pillow cannot write again."""
    fields = struct.pack("<H", 2) + struct.pack("<HHIHH", 0x112, 3, 1, 6, 0) + struct.pack("<HHI", 0x11A, 10, 1)
    exif = b"Exif\0\0II*\0" + struct.pack("<I", 8) + fields + struct.pack("<IIii", 38, 0, -1, 0)
    Image.new("RGB", (8, 8), "red").save(tmp_path / "a.jpg", exif=exif)
    with Image.open(tmp_path / "a.jpg") as image:
        assert to_rgb(image).getpixel((4, 4))[0] > 240


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


def test_heif(tmp_path):
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
