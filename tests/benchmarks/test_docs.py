"""The README's promises that can be checked cheaply."""

import re
import textwrap
from pathlib import Path

import pytest

import leakbench
from leakbench.benchmarks.suite.model import available
from tests.benchmarks.conftest import run_tiny

ROOT = Path(__file__).resolve().parent.parent.parent


def test_the_readme_has_exactly_the_two_commands_that_ci_runs():
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert len(blocks) == 2
    assert "pip install . && leakbench run quick" in blocks[0]
    assert "pip install '.[test]' && pytest" in blocks[1]


def test_the_readme_names_every_suite():
    text = (ROOT / "README.md").read_text()
    assert all(f"`{name}`" in text for name in available())


def test_the_package_ships_its_type_marker():
    assert (ROOT / "leakbench" / "py.typed").is_file()


@pytest.mark.parametrize("page", [pytest.param("add-a-defense", marks=pytest.mark.slow), "add-an-attack"])
def test_the_examples_of_the_docs_run(page, tmp_path, suites, unregister):
    text = (ROOT / "docs" / f"{page}.md").read_text()
    code = textwrap.dedent(re.search(r"```python\n(.*?)```", text, re.S)[1])
    file = tmp_path / f"{page}.py"
    file.write_text(code)
    chosen = {
        "add-a-defense": ("--defense", "posterize:levels=3", "--attack", "gan-leaks"),
        "add-an-attack": ("--defense", "identity", "--attack", "brightness"),
    }[page]
    assert run_tiny(tmp_path, "--plugin", file, *chosen) == 0


def test_the_reference_has_every_public_name():
    text = (ROOT / "docs" / "reference.md").read_text()
    homes = [f"::: leakbench.{home}.{name}" for home, names in leakbench._HOMES.items() for name in names]
    assert sorted(re.findall(r"^::: .*$", text, re.M)) == sorted(homes)


def test_every_guide_is_in_the_sites_navigation():
    text = (ROOT / "mkdocs.yml").read_text()
    assert all(f"- {page.name}\n" in text or f": {page.name}\n" in text for page in (ROOT / "docs").glob("*.md"))
