"""What an installation leaves in somebody's environment: one name, beside whatever else there is."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder, ROOT]
    subprocess.run(build, check=True)
    return next(folder.glob("*.whl"))


@pytest.mark.slow
def test_the_wheel_installs_one_name(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"leakbench"}
    there = {name for name in names if name.endswith((".toml", ".typ", ".html", "py.typed"))}
    assert {
        "leakbench/py.typed",
        "leakbench/reports/templates/report.typ",
        "leakbench/benchmarks/suite/quick.toml",
    } <= there
    assert not [name for name in names if "/speed/" in name]


@pytest.mark.slow
def test_a_users_own_metrics_and_opacus_stay_whole(wheel, tmp_path):
    """In a folder of its own, which comes before everything else: installed, used, and taken away again."""
    site = tmp_path / "site"
    (site / "metrics").mkdir(parents=True)
    (site / "metrics" / "__init__.py").write_text("MINE = 1\n")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    ours = {Path(name).parts[0] for name in zipfile.ZipFile(wheel).namelist()}

    def works(*imports):
        code = f"import sys; sys.path.insert(0, {str(site)!r}); " + "; ".join(imports)
        return subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0

    mine = ("import metrics", "assert metrics.MINE == 1", "import opacus")
    lists = "from leakbench.benchmarks.cli.app import app; app(['list', 'suites'], standalone_mode=False)"
    assert works(*mine, f"import leakbench; assert leakbench.__file__.startswith({str(site)!r})", lists)
    for name in ours:
        subprocess.run(["rm", "-r", site / name], check=True)
    assert works(*mine), "without us, theirs is as it was"
