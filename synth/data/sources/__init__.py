"""Where pictures come from: one file for each kind of source, and how each is opened."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from leakbench.synth.data.image_files import DataProblems
from leakbench.synth.data.pictures import Pictures
from leakbench.synth.data.sources.archives import open_tar, open_zip
from leakbench.synth.data.sources.arrays import ImageArray, of_arrays, open_npy, open_npz, open_pt
from leakbench.synth.data.sources.datasets import is_dataset, of_dataset
from leakbench.synth.data.sources.folders import open_folder
from leakbench.synth.data.sources.parquet import open_parquet
from leakbench.synth.images import Images

FILES: dict[str, Callable[[Path], Pictures]] = {
    ".zip": open_zip,
    ".tar": open_tar,
    ".tar.gz": open_tar,
    ".tgz": open_tar,
    ".npz": open_npz,
    ".npy": open_npy,
    ".pt": open_pt,
    ".parquet": open_parquet,
}
"""How a file of pictures is opened, by what its name ends with."""
KINDS = f"a folder, {', '.join(FILES)}"


def open_pictures(source: Any, problems: list[str], option: str) -> Pictures:
    """Open a source of pictures.

    Args:
        source: a folder; a file of one of `FILES`; or, from Python, an array, a tensor, or a dataset of torch or of
            Hugging Face.
        problems: sentences about what is wrong are appended here.
        option: that names the source, for messages.

    Returns:
        The pictures; none, where something is wrong.
    """
    try:
        found = _opened(source, problems, option)
    except DataProblems as error:
        problems += [problem if problem.startswith(option) else f"{option} {problem}" for problem in error.problems]
        return nothing(option)
    if not found.names and not problems:
        problems.append(f"{option} {found.where}: holds no pictures")
    return found


def nothing(where: str) -> Pictures:
    """No pictures."""
    return Pictures(where, [], lambda i: [][i])


def _opened(source: Any, problems: list[str], option: str) -> Pictures:
    if isinstance(source, str | Path):
        path = Path(source)
        if path.is_dir():
            return _folder(path, problems)
        return opener(path)(path)
    if isinstance(source, ImageArray):
        return of_arrays(source, None, option)
    if isinstance(source, Images) or is_dataset(source):
        return of_dataset(source, option)
    raise DataProblems([f"{option}: is a {type(source).__name__}; give {KINDS}, an array, a tensor or a dataset"])


def opener(path: Path) -> Callable[[Path], Pictures]:
    """What opens this file.

    Raises:
        DataProblems: it is not there, or of no kind that holds pictures.
    """
    kind = kind_of(path.name)
    if not path.is_file():
        raise DataProblems([f"{path}: is not a folder or a file; give {KINDS}"])
    if kind is None:
        raise DataProblems([f"{path}: is no source of pictures; give {KINDS}"])
    return FILES[kind]


def kind_of(name: str) -> str | None:
    """What a file of pictures ends with, the longest first; None for any other file."""
    return next((end for end in sorted(FILES, key=len, reverse=True) if name.lower().endswith(end)), None)


def _folder(path: Path, problems: list[str]) -> Pictures:
    """A folder of pictures, or of files that hold pictures (shards)."""
    found = open_folder(path, problems)
    shards = [name for name in found.names if kind_of(name)]
    if not shards:
        return found
    if len(shards) < len(found):
        other = next(name for name in found.names if not kind_of(name))
        raise DataProblems([f"{path}: holds files of pictures ({shards[0]}) beside pictures ({other}); give one kind"])
    return joined(str(path), [opener(path / name)(path / name) for name in shards])


def joined(where: str, parts: list[Pictures]) -> Pictures:
    """The pictures of several sources, one after another."""
    start = [0]
    for part in parts:
        start.append(start[-1] + len(part))
    owner = [k for k, part in enumerate(parts) for _ in range(len(part))]
    names = [name for part in parts for name in part.names]
    if len(set(names)) < len(names):  # shards number their pictures alike
        names = [_within(name, k) for k, part in enumerate(parts) for name in part.names]
    notes = [note for part in parts for note in part.notes]
    return Pictures(where, names, lambda i: parts[owner[i]].open(i - start[owner[i]]), notes)


def _within(name: str, shard: int) -> str:
    folder, _, last = name.rpartition("/")
    return f"{folder}/{shard}-{last}" if folder else f"{shard}-{last}"
