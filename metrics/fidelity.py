"""How far a release is from private images as a whole, in the features of a network: columns of T2."""

from leakbench.metrics.features import Features, frechet_distance, kernel_distance
from leakbench.metrics.measurement import Judgement, Measurement

MOST = 2560
"""Images of each set, at most: more than networks have features."""
ALONE = "a set has one image"
"""Why there is no distance, whatever network is at hand."""
SCALE = 1000
"""Of kernel distances, which are small."""


def fidelity(name: str, released: Features, others: Features, variant: str = "") -> Judgement:
    """Kernel and Fréchet distance between two sets of images, as `metrics.features` defines them.

    The kernel distance is unbiased at any size, of sets that share no image. The Fréchet distance is not, so that
    distances of sets of other sizes do not compare; it is left out, and said, where a set has no more images than
    features, which make no covariance.

    Args:
        name: of the others; measurements are called ``<name>.kernel`` and ``<name>.frechet``.
        released: (N, D).
        others: (M, D).
        variant: what the features are.
    """
    fewest = min(len(released), len(others))
    if fewest < 2:
        return Judgement((), dict.fromkeys((f"{name}.kernel", f"{name}.frechet"), ALONE))

    def measured(what: str, value: float, unit: str) -> Measurement:
        return Measurement(name=f"{name}.{what}", value=value, n=fewest, unit=unit, better="lower", variant=variant)

    kernel = measured("kernel", SCALE * kernel_distance(released, others), f"1/{SCALE}")
    if fewest <= released.shape[1]:
        few = f"{fewest} images are too few for {released.shape[1]} features"
        return Judgement((kernel,), {f"{name}.frechet": few})
    return Judgement((kernel, measured("frechet", frechet_distance(released, others), "")))
