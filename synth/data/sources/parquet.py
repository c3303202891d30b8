"""Hugging Face's image columns in .parquet files."""

import json
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from leakbench.synth.data.image_files import DataProblems, Unreadable, encoded
from leakbench.synth.data.pictures import Pictures

LABELS = ("label", "labels", "fine_label", "class", "cls")


def open_parquet(path: Path) -> Pictures:
    """The pictures of a file: the first column of encoded images, and the labels by their names.

    Raises:
        DataProblems: it is damaged, or has no such column.
    """
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise DataProblems([f"{path}: is not a parquet file, or a damaged one ({error})"]) from error
    schema = file.schema_arrow
    column = next((name for name in schema.names if _is_image(schema.field(name).type)), None)
    if column is None:
        raise DataProblems([f"{path}: has no column of encoded images among {', '.join(schema.names)}"])
    sizes = [file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)]
    ends = np.cumsum([0, *sizes])
    lock = threading.Lock()

    @lru_cache(maxsize=2)  # groups are read in order, each some hundred pictures
    def group(k: int) -> Any:
        return file.read_row_group(k, columns=[column]).column(column).combine_chunks()

    def opened(i: int) -> Image.Image:
        k = int(np.searchsorted(ends, i, side="right")) - 1
        with lock:
            cell = group(k)[i - int(ends[k])].as_py()
        content = cell["bytes"] if isinstance(cell, dict) else cell
        if content is None:
            raise Unreadable("has no bytes: pictures that lie beside the file are not looked for")
        return encoded(content, (cell.get("path") if isinstance(cell, dict) else None) or "")

    return Pictures(str(path), _names(file, schema, int(ends[-1])), opened)


def _is_image(kind: Any) -> bool:
    if pa.types.is_struct(kind):
        return any(field.name == "bytes" for field in kind)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _names(file: Any, schema: Any, count: int) -> list[str]:
    """By number, in a folder of their class where there are labels."""
    names = [f"{i:06d}" for i in range(count)]
    label = next((name for name in LABELS if name in schema.names), None)
    if label is None:
        return names
    values = file.read(columns=[label]).column(label).to_pylist()
    known = _class_names(schema, label)
    shown = [known[v] if known and isinstance(v, int) and 0 <= v < len(known) else str(v) for v in values]
    return [f"{folder.replace('/', '_')}/{name}" for folder, name in zip(shown, names, strict=True)]


def _class_names(schema: Any, label: str) -> list[str]:
    """The names that Hugging Face's `ClassLabel` gives numbers, if it is one."""
    about = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    features = about.get("info", {}).get("features", {})
    return list(features.get(label, {}).get("names") or [])
