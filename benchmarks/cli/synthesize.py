"""The command `synthesize`."""

from pathlib import Path
from typing import Annotated

import typer

from leakbench.benchmarks.cli.exits import refuse
from leakbench.benchmarks.cli.options import (
    Data,
    Device,
    ImageSize,
    Plugins,
    Public,
    error_console,
    load_plugins,
    open_suite,
    out_console,
)
from leakbench.benchmarks.stages.publish import synthesizer
from leakbench.benchmarks.stages.synthesize import synthesize as synthesize_release
from leakbench.benchmarks.storage.environment import pick_device
from leakbench.benchmarks.suite.model import load_suite


def synthesize(
    defense: Annotated[str, typer.Argument(help="NAME[:key=value,…]: see `leakbench list defenses`.")],
    dataset: Annotated[str, typer.Option(help="See `leakbench list datasets`.")],
    out: Annotated[Path, typer.Option(help="Where to put the release; must be empty or missing.")],
    data: Data = None,
    public: Public = None,
    seed: Annotated[
        int | None,
        typer.Option(
            help="A seed, for experiments: whoever knows it can make the release again, which voids a claim. By "
            "default randomness is the operating system's."
        ),
    ] = None,
    image_size: ImageSize = None,
    plugin: Plugins = None,
    device: Device = "auto",
    members: Annotated[int | None, typer.Option(min=1, help="How many private images to use (default: all).")] = None,
) -> None:
    """Just make the release of a defense: a folder of images.

    With release.json, which says what was made and from what.
    """
    load_plugins(plugin)
    synthesizer(defense)
    where = pick_device(device)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise refuse([f"--out {out}: is not an empty folder; give a new one"])
    suite = load_suite("quick", dataset=dataset, image_size=image_size)

    def announce(text: str) -> None:
        error_console.print(text, soft_wrap=True)

    pool = open_suite(suite, data)
    line = synthesize_release(
        suite, defense, pool, out=out, seed=seed, members=members, device=where, public=public, announce=announce
    )
    out_console.print(line, soft_wrap=True)
