"""Where and with what a figure was measured."""

import os
import platform
import resource
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from leakbench.benchmarks.storage.store import digest
from leakbench.benchmarks.suite.problems import RequestProblems
from leakbench.reports.records import SCHEMA
from leakbench.synth.networks.training import has_bf16

PACKAGES = (
    "leakbench", "torch", "torchvision", "numpy", "scipy", "piq", "lpips", "scikit-learn", "pillow", "opacus", "typst",
    "opencv-python-headless", "faiss-cpu",
)  # fmt: skip


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _git(*arguments: str) -> str:
    here = Path(__file__).resolve().parent
    try:
        done = subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def pick_device(name: str) -> torch.device:
    """``auto`` takes CUDA where there is any.

    Raises:
        RequestProblems: cuda was asked for and there is none.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise RequestProblems([f"--device must be auto, cpu or cuda, got {name!r}"])
    if name == "cuda" and not torch.cuda.is_available():
        raise RequestProblems(["--device cuda: this machine has no CUDA device that torch can use; try --device cpu"])
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


@cache
def environment(device: str) -> dict[str, str]:
    """Versions, commit and hardware, for records."""
    commit = _git("rev-parse", "HEAD") or "unknown"
    if commit != "unknown" and _git("status", "--porcelain", "--untracked-files=no"):
        commit += "+dirty"
    hardware = torch.cuda.get_device_name() if device == "cuda" else f"CPU {platform.machine()}, {os.cpu_count()} cores"
    packages = {package: _version(package) for package in PACKAGES}
    return {"python": platform.python_version(), "commit": commit, "device": hardware} | packages


def is_plugin(cls: type) -> bool:
    """Whether a class comes from a plug-in, not from leakbench itself."""
    return cls.__module__.partition(".")[0] != "leakbench"


@cache
def code(*packages: str) -> str:
    """A hash of the source of some of our packages: what other code computed is not taken for this code's."""
    root = Path(__file__).parents[2]
    files = sorted(file for package in packages for file in (root / package).rglob("*.py"))
    return digest([[file.relative_to(root).as_posix(), file.read_text(encoding="utf-8")] for file in files])


def arithmetic(device: torch.device) -> dict[str, str]:
    """What figures depend on beside our code: versions of the libraries, the hardware, and whether it has bf16."""
    known = {key: value for key, value in environment(device.type).items() if key not in ("commit", "typst")}
    return known | {"bf16": str(has_bf16(device))}


def result_key(kind: str, packages: tuple[str, ...], device: torch.device, *parts: object) -> str:
    """What a result is stored under: a hash of the code, the arithmetic, and everything else that it depends on.

    Args:
        kind: of result; it stands in front.
        packages: whose code computes it.
        device: where; the last bits of a sum on a CPU depend on the number of threads too.
        parts: specs, seeds and images.
    """
    threads = 0 if device.type == "cuda" else torch.get_num_threads()
    return f"{kind}-{digest(SCHEMA, code(*packages), arithmetic(device), threads, *parts)}"


def peak_memory(device: torch.device) -> int:
    """Bytes: the device's peak since the last reset, or this process's peak so far."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
