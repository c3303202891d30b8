"""How far a release is from private images as a whole, in the features of a network: columns of T2."""

from leakbench.metrics.features import Features, frechet_distance, kernel_distance
from leakbench.metrics.measurement import Judgement, Measurement

MOST = 2048
"""Images of each set, at most."""
FEWEST = 2
SCALE = 1000
"""Of kernel distances, which are small."""


def fidelity(name: str, released: Features, others: Features, variant: str = "") -> Judgement:
    """Kernel and Fréchet distance between two sets of images, as `metrics.features` defines them.

    The kernel distance is unbiased at any size. The Fréchet distance is not: it is left out, and said, where a set has
    fewer images than features, of which its covariances would be made of too few.

    Args:
        name: of the others; measurements are called ``<name>.kernel`` and ``<name>.frechet``.
        released: (N, D).
        others: (M, D).
        variant: what the features are.
    """
    fewest = min(len(released), len(others))
    if fewest < FEWEST:
        return Judgement((), dict.fromkeys((f"{name}.kernel", f"{name}.frechet"), "a set has one image"))

    def measured(what: str, value: float, unit: str) -> Measurement:
        return Measurement(name=f"{name}.{what}", value=value, n=fewest, unit=unit, better="lower", variant=variant)

    kernel = measured("kernel", SCALE * kernel_distance(released, others), f"1/{SCALE}")
    if fewest <= released.shape[1]:
        few = f"{fewest} images are too few for {released.shape[1]} features"
        return Judgement((kernel,), {f"{name}.frechet": few})
    return Judgement((kernel, measured("frechet", frechet_distance(released, others), "")))
