"""Who may import whom, walked from the sources."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from setuptools import find_packages

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("synth", "metrics", "attacks", "reports", "benchmarks")
ALLOWED = {
    "metrics": set(),
    "synth": {"metrics"},
    "attacks": {"metrics", "synth"},
    "reports": {"metrics"},
    "benchmarks": {"metrics", "synth", "attacks", "reports"},
}
SYNTH_FOR_ATTACKS = {
    "synth.types",
    "synth.networks",
    "synth.training",
    "synth.registry",
    "synth.statistics",
    "synth.defense",
}


def imports(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            found.add(node.module or "")
    return {name for name in found if name.split(".")[0] in PACKAGES}


FILES = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]


def test_there_are_files_to_check():
    assert {file.relative_to(ROOT).parts[0] for file in FILES} == set(PACKAGES)


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_imports_go_one_way(file):
    package = file.relative_to(ROOT).parts[0]
    for name in imports(file):
        other = name.split(".")[0]
        assert other == package or other in ALLOWED[package], f"{package} may not import {name}"
        if package == "attacks" and other == "synth":
            assert name in SYNTH_FOR_ATTACKS, f"attacks may not import {name}"
        if package == "reports" and other == "metrics":
            assert name in ("metrics.measurement", "metrics.rates"), "the rest of metrics pulls torch"


def test_every_package_is_installed():
    finder = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]
    installed = find_packages(str(ROOT), include=finder["include"], exclude=finder["exclude"])
    there = {".".join(file.parent.relative_to(ROOT).parts) for file in FILES if "speed" not in file.parts}
    assert set(installed) == there


def test_reports_leave_torch_out():
    modules = "reports, reports.write, reports.pdf, reports.html, reports.tables, reports.records"
    code = f"import sys, {modules}; sys.exit(any(m in sys.modules for m in ('torch', 'torchvision', 'piq')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_every_source_file_stays_readable():
    long = {str(f.relative_to(ROOT)): n for f in FILES if (n := len(f.read_text().splitlines())) > 300}
    assert not long
