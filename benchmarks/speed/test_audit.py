"""`leakbench audit` of 50,000 private and 50,000 released images, and local features alone of fewer.

LEAKBENCH_CIFAR=DIR names CIFAR-10 as train/ and test/. pytest benchmarks/speed/test_audit.py --benchmark-enable -n 0 -s
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torchvision.transforms.v2.functional import to_pil_image

from leakbench.metrics.described import described
from leakbench.synth.data.pictures import read
from leakbench.synth.data.sources.folders import open_folder

pytestmark = pytest.mark.skipif("LEAKBENCH_CIFAR" not in os.environ, reason="LEAKBENCH_CIFAR names no folder")

AUDIT = """
import atexit, sys
from pathlib import Path
sys.argv[0] = "leakbench"
atexit.register(lambda: print(*(l for l in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in l)))
from leakbench.benchmarks.cli.app import main
main()
"""
"""Says its peak of memory at the end; what `resource` says counts the process that started it, before exec."""


def test_fifty_thousand_against_fifty_thousand(benchmark, tmp_path):
    """The release: each image the mean of two private ones, so that nothing is found at once."""
    data = Path(os.environ["LEAKBENCH_CIFAR"])
    pixels = read(open_folder(data / "train", []), None, [])
    order = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(0))
    for i, (one, other) in enumerate(zip(pixels, pixels[order], strict=True)):
        mixed = ((one.int() + other.int()) // 2).to(torch.uint8)
        to_pil_image(mixed).save(tmp_path / f"{i}.png", compress_level=1)
    folders = ["--private", data / "train", "--released", tmp_path, "--holdout", data / "test"]
    command = [sys.executable, "-c", AUDIT, "audit", *folders, "--out", tmp_path.parent / "out"]

    def audited():
        return subprocess.run(list(map(str, command)), check=False, text=True, stdout=subprocess.PIPE)

    done = benchmark.pedantic(audited, rounds=1)
    assert done.returncode in (0, 3)
    print(f"\n{done.stdout}")


def test_local_features_of_four_thousand_against_four_thousand(benchmark):
    """To index the features of one half, and to look for the other half's in them, mirrored too."""
    pictures = open_folder(Path(os.environ["LEAKBENCH_CIFAR"]) / "train", [])
    order = torch.randperm(len(pictures), generator=torch.Generator().manual_seed(0))[:8000]
    pixels = read(pictures.take(order), None, [])

    found = benchmark.pedantic(lambda: described(pixels[:4000]).shown.copies(described(pixels[4000:]).points), rounds=1)
    print(f"\n{len(found)} show the same thing as one of the others")
