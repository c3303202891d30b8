"""The README's promises that can be checked cheaply."""

import re
from pathlib import Path

from benchmarks.suite import available

ROOT = Path(__file__).resolve().parent.parent.parent


def test_the_readme_has_exactly_the_two_commands_that_ci_runs():
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert len(blocks) == 2
    assert "pip install . && leakbench run quick" in blocks[0]
    assert "pip install '.[test]' && pytest" in blocks[1]


def test_the_readme_names_every_suite():
    text = (ROOT / "README.md").read_text()
    assert all(f"`{name}`" in text for name in available())


def test_every_package_ships_its_type_marker():
    assert all((ROOT / p / "py.typed").is_file() for p in ("synth", "metrics", "attacks", "reports", "benchmarks"))
