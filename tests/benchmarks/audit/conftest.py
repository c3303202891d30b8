"""What tests of audits share."""

import pytest

from leakbench.benchmarks.audit import copy_power


@pytest.fixture(autouse=True)
def few_changed_pictures(monkeypatch):
    """Of each kind, because a test looks at many audits."""
    monkeypatch.setattr(copy_power, "TRIED", 4)
