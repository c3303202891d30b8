"""The same pictures, written as a source of every kind."""

import io
import json
import tarfile
import zipfile

import datasets as hugging_face
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch.utils.data import TensorDataset

from leakbench.synth.images import Images

COUNT = 6
CLASSES = ("cat", "dog")


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
