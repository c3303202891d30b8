"""From private images to a release: images, networks, defenses. Importing it registers every defense."""

from leakbench.synth import defenses

__all__ = ["defenses"]
