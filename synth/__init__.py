"""From private images to a release: datasets, networks, training, defenses. Importing it registers every defense."""

from synth import blur, bn_matching, controls, leaky, noise, pixelate

__all__ = ["blur", "bn_matching", "controls", "leaky", "noise", "pixelate"]
