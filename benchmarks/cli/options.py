"""What several commands share: options, the consoles, and plug-ins."""

from pathlib import Path
from typing import Annotated

import typer
from PIL import Image
from rich.console import Console
from rich.text import Text

from leakbench.benchmarks.execution import plugins
from leakbench.benchmarks.suite.model import Suite
from leakbench.synth.data.datasets import Pool, open_pool

out_console = Console(highlight=False, markup=False)
error_console = Console(stderr=True, highlight=False, markup=False)

Data = Annotated[Path | None, typer.Option(help="Where the dataset lies, or is downloaded to.")]
Device = Annotated[str, typer.Option(help="Where to compute: auto, cpu or cuda.")]
Plugins = Annotated[
    list[str] | None, typer.Option("--plugin", help="A file or module that registers defenses or attacks; repeat.")
]
Public = Annotated[
    Path | None,
    typer.Option(
        help="A folder of other people's images, in class folders or not, for defenses that read public ones."
    ),
]
ImageSize = Annotated[
    int | None, typer.Option(min=1, help="Resize and crop folders' images to this many pixels a side.")
]

MaxPixels = Annotated[
    int | None,
    typer.Option(min=1, help="Pixels that a picture may have; 89 million unasked, because of decompression bombs."),
]


def allow_pixels(count: int | None) -> None:
    """Read pictures of so many pixels."""
    if count is not None:
        Image.MAX_IMAGE_PIXELS = count


def load_plugins(names: list[str] | None) -> dict[str, str]:
    """Import plug-ins, and say which of the installed ones are left out; a hash of each one's source, by name."""
    for complaint in plugins.installed():
        error_console.print(Text(complaint), soft_wrap=True)
    return {name: plugin.digest for name, plugin in plugins.load(names or []).items()}


def open_suite(suite: Suite, data: Path | None) -> Pool:
    """The dataset of a suite."""
    return open_pool(suite.dataset, data, suite.image_size)
