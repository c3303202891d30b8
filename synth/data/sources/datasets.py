"""Datasets of Python: torch's (a picture, or a picture and its label, by position) and Hugging Face's."""

from typing import Any

from PIL import Image

from leakbench.synth.data.image_files import DataProblems, Unreadable
from leakbench.synth.data.pictures import Pictures
from leakbench.synth.data.sources.arrays import ImageArray, of_arrays
from leakbench.synth.data.sources.parquet import LABELS
from leakbench.synth.images import Images


def is_dataset(source: Any) -> bool:
    """Whether something is a dataset: it has a length, and pictures by position."""
    return hasattr(source, "__len__") and hasattr(source, "__getitem__") and not isinstance(source, bytes)


def of_dataset(source: Any, where: str) -> Pictures:
    """The pictures of a dataset.

    Raises:
        DataProblems: its first item is no picture, and has none.
    """
    if isinstance(source, Images):
        return of_arrays(source.pixels, [source.classes[label] for label in source.labels.tolist()], where)
    if hasattr(source, "column_names"):
        return _of_hugging_face(source, where)
    if not len(source):
        return Pictures(where, [], source.__getitem__)
    labels = _labels(source)
    names = [f"{i:06d}" for i in range(len(source))]
    if labels is not None:
        names = [f"{label}/{name}" for label, name in zip(labels, names, strict=True)]

    def opened(i: int) -> Image.Image:
        item = source[i]
        return _picture(item[0] if isinstance(item, tuple | list) else item)

    try:
        opened(0)
    except Unreadable as error:
        raise DataProblems([f"{where}: the first item {error}"]) from error
    return Pictures(where, names, opened)


def _labels(source: Any) -> list[str] | None:
    """Labels where a dataset keeps them (`targets`, as torchvision's do), or its items have them."""
    known = getattr(source, "targets", None)
    if known is None:
        item = source[0]
        if not isinstance(item, tuple | list) or len(item) < 2:
            return None
        known = [source[i][1] for i in range(len(source))]
    classes = getattr(source, "classes", None)
    return [str(classes[int(v)] if classes else int(v)).replace("/", "_") for v in known]


def _of_hugging_face(source: Any, where: str) -> Pictures:
    row = source[0]
    column = next((name for name, value in row.items() if isinstance(value, Image.Image)), None)
    if column is None:
        raise DataProblems([f"{where}: has no column of images among {', '.join(row)}"])
    names = [f"{i:06d}" for i in range(len(source))]
    label = next((name for name in LABELS if name in row), None)
    if label is not None:
        known = getattr(source.features[label], "names", None)
        shown = [str(known[v] if known else v).replace("/", "_") for v in source[label]]
        names = [f"{folder}/{name}" for folder, name in zip(shown, names, strict=True)]
    return Pictures(where, names, lambda i: source[i][column])


def _picture(item: Any) -> Image.Image:
    """A PIL image, or an array or tensor of one."""
    if isinstance(item, Image.Image):
        return item
    if isinstance(item, ImageArray) and item.ndim in (2, 3):
        try:
            return of_arrays(item[None], None, "item").open(0)
        except DataProblems as error:
            raise Unreadable(f"is no picture ({error})") from error
    raise Unreadable(f"is a {type(item).__name__}, no picture")
