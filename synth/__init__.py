"""From private images to a release: datasets, networks, training, defenses. Importing it registers every defense."""

from synth import (
    blur,
    bn_matching,
    controls,
    distribution_matching,
    gradient_noise,
    gradient_pruning,
    instahide,
    leaky,
    mixup,
    noise,
    pixelate,
    statistic_sampling,
    subset,
    teacher_labels,
)

__all__ = [
    "blur",
    "bn_matching",
    "controls",
    "distribution_matching",
    "gradient_noise",
    "gradient_pruning",
    "instahide",
    "leaky",
    "mixup",
    "noise",
    "pixelate",
    "statistic_sampling",
    "subset",
    "teacher_labels",
]
