"""Who may import whom, walked from the sources, and what is installed."""

import ast
import subprocess
import sys
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
    "leakbench": {"metrics", "synth", "attacks", "reports", "benchmarks"},
}
FOR_REPORTS = {"metrics.decision", "metrics.measurement", "metrics.power", "metrics.rates"}
"""What of metrics does without torch."""


def imports(file: Path) -> set[str]:
    """The modules of ours that a file imports, without the package's own name; bare ones are an error."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    bare = {name for name in found if name.split(".")[0] in PACKAGES}
    assert not bare, f"{file}: imports {bare}, which would be a second copy; say leakbench.{min(bare)}"
    return {name.removeprefix("leakbench.") for name in found if name.startswith("leakbench.")}


FILES = [file for package in (*PACKAGES, "leakbench") for file in sorted((ROOT / package).glob("**/*.py"))]
"""Links in leakbench/ are not followed."""


def test_there_are_files_to_check():
    assert {file.relative_to(ROOT).parts[0] for file in FILES} == {*PACKAGES, "leakbench"}


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_imports_go_one_way(file):
    package = file.relative_to(ROOT).parts[0]
    for name in imports(file):
        other = name.split(".")[0]
        assert other == package or other in ALLOWED[package], f"{package} may not import {name}"
        if package == "attacks" and other == "synth":
            assert not name.startswith("synth.defenses."), f"attacks may not import {name}"
        if package == "reports" and other == "metrics":
            assert any(name.startswith(known) for known in FOR_REPORTS), "the rest of metrics pulls torch"


@pytest.mark.parametrize("file", sorted((ROOT / "tests").rglob("*.py")), ids=lambda f: str(f.relative_to(ROOT)))
def test_tests_import_no_second_copy(file):
    imports(file)


def modules() -> dict[str, set[str]]:
    """Every module of ours, and the modules of ours that its file imports at the top."""
    names = {".".join(f.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): f for f in FILES}
    found = {}
    for name, file in names.items():
        top = {
            f"{n.module}.{a.name}"
            for n in ast.parse(file.read_text()).body
            if isinstance(n, ast.ImportFrom)
            for a in n.names
        }
        wanted = {t.removeprefix("leakbench.") for t in top if t.startswith("leakbench.")}
        found[name] = {next(p for p in (w, w.rpartition(".")[0]) if p in names or not p) for w in wanted} - {name, ""}
    return found


def test_no_module_imports_itself_by_way_of_others():
    graph, left = modules(), set(modules())
    while done := {name for name in left if not graph[name] & left}:
        left -= done
    assert not left, f"a cycle is among {sorted(left)}"


def test_everything_is_installed_under_one_name():
    installed = find_packages(str(ROOT), include=["leakbench*"], exclude=["leakbench.benchmarks.speed*"])
    folders = {file.parent.relative_to(ROOT) for file in FILES if "speed" not in file.parts}
    wanted = {
        ".".join(("leakbench", *folder.parts)).removeprefix("leakbench.leakbench") or "leakbench" for folder in folders
    }
    assert set(installed) == wanted


def test_reports_leave_torch_out():
    modules = ", ".join(f"leakbench.reports.{name}" for name in ("write", "pdf", "html", "tables", "records"))
    code = f"import sys, {modules}; sys.exit(any(m in sys.modules for m in ('torch', 'torchvision', 'piq')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_every_file_stays_readable():
    files = (*FILES, *(ROOT / "tests").rglob("*.py"))
    long = {str(f.relative_to(ROOT)): n for f in files if (n := len(f.read_text().splitlines())) > 300}
    assert not long


def test_every_function_fits_on_a_screen():
    """Fifty lines at most of statements, without the docstring and the signature, which may list options."""
    functions = (
        (file, node)
        for file in FILES
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    long = {}
    for file, node in functions:
        first = node.body[1 if ast.get_docstring(node) is not None and len(node.body) > 1 else 0]
        if (count := (node.end_lineno or 0) - first.lineno + 1) > 50:
            long[f"{file.relative_to(ROOT)}: {node.name}"] = count
    assert not long
