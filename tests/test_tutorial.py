"""The notebook of the documentation runs from top to bottom, and shows what it says."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

TUTORIAL = Path(__file__).resolve().parent.parent / "docs" / "tutorial.ipynb"


@pytest.mark.slow
def test_the_tutorial_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYTHONPATH", str(TUTORIAL.parent.parent))
    notebook = nbformat.read(TUTORIAL, as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [
        str(output.get("data", {}).get("text/plain", "")) for c in notebook.cells for output in c.get("outputs", [])
    ]
    assert any("posterize" in text and "leaks" in text for text in shown)
    assert any("image/png" in output.get("data", {}) for c in notebook.cells for output in c.get("outputs", []))
