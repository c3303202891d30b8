"""What tests of audits share."""

import pytest

from leakbench.benchmarks.audit import copy_power
from leakbench.synth.networks import public


@pytest.fixture(autouse=True)
def few_changed_pictures(monkeypatch):
    """Of each kind, because a test looks at many audits."""
    monkeypatch.setattr(copy_power, "TRIED", 4)


@pytest.fixture(autouse=True)
def no_public_network(monkeypatch):
    """Where one is at hand, as it is here, every audit takes seconds more."""
    found = public.SOURCES
    monkeypatch.setattr(public, "SOURCES", ())
    return found
