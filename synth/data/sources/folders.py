"""Folders of image files, in class folders or not."""

from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from leakbench.synth.data.image_files import Unreadable, encoded
from leakbench.synth.data.pictures import Pictures

IGNORED = {"thumbs.db", "desktop.ini"}
"""Files that operating systems leave beside images; hidden files are ignored as well."""
TEXTS = {".csv", ".tsv", ".json", ".jsonl", ".txt", ".md", ".xml", ".yaml", ".yml", ".safetensors", ".html", ".pdf"}
"""What lies beside images and tells about them: a list of labels, a license, what a release of ours says."""


def open_folder(folder: Path, problems: list[str]) -> Pictures:
    """All files below a folder that are not ignored.

    Args:
        folder: holds images, in folders or not.
        problems: sentences about what is wrong are appended here.
    """
    return of_files(folder, sorted(_below(folder, folder, problems, ())))


def of_files(folder: Path, names: list[str]) -> Pictures:
    """Files of a folder by their names, wherever the program goes afterwards."""
    root = folder.absolute()

    def opened(i: int) -> Image.Image:
        file = root / names[i]
        if leaves(file, root):
            raise Unreadable("is a link that leaves the folder, or leads nowhere")
        return encoded(file.read_bytes(), file.name)

    return Pictures(str(folder), names, opened)


def leaves(path: Path, root: Path) -> bool:
    """Whether a link leads out of a folder, or nowhere."""
    try:
        return not path.resolve(strict=True).is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # a link to itself
        return path.is_symlink()


def ignored(name: str) -> bool:
    """Whether a file is no picture, and nobody expects it to be one."""
    return name.startswith(".") or name.lower() in IGNORED or Path(name).suffix.lower() in TEXTS


def _below(folder: Path, root: Path, problems: list[str], above: tuple[Path, ...]) -> Iterator[str]:
    """Names of files in a folder and those in it; folders that cannot be looked into are problems."""
    shown = str(folder.relative_to(root))
    real = folder.resolve()
    if leaves(folder, root):
        problems.append(f"{shown}: is a link that leaves the folder {root}")
        return
    if real in above:
        problems.append(f"{shown}: is a link to a folder that it lies in; delete it")
        return
    try:
        inside = sorted(folder.iterdir())
    except OSError as error:
        problems.append(f"{shown}: cannot be read ({error.strerror})")
        return
    for path in inside:
        if path.is_dir() and not path.name.startswith("."):
            yield from _below(path, root, problems, (*above, real))
        elif not path.is_dir() and not ignored(path.name):
            yield path.relative_to(root).as_posix()
