"""What private defenses share: DP-SGD, noise for one release of a sum, and the budget of both, by Opacus."""

import copy
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from opacus import GradSampleModule
from opacus.accountants import PRVAccountant
from opacus.accountants.utils import get_noise_multiplier
from opacus.optimizers import DPOptimizer
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from leakbench.synth.defense import Claim, Resources
from leakbench.synth.images import Images
from leakbench.synth.randomness import Randomness
from leakbench.synth.ranges import Count, Positive, check_ranges

LEAST = 1e-3
"""Smallest epsilon: the memory of the accountant grows with one over its error."""
LEAST_DELTA = 1e-15
"""Smallest delta that the accountant's arithmetic resolves."""
TOLERANCE = 0.01
"""Share of an epsilon to which the noise is found that keeps it."""
ERROR = 0.01
"""Error of the accountant, which its upper bound includes; a tenth of a small epsilon would be lost in it."""

AT_ONCE = 100
"""Images whose gradients are held together: 500 of ResNet-20's took 10 GiB."""

MechanismSpec = tuple[float, float, int]
"""Noise multiplier, sampling rate and steps of a mechanism, as Opacus's accountants count."""


def epsilon_of(spent: Sequence[MechanismSpec], delta: float, error: float = ERROR) -> float:
    """Epsilon of mechanisms one after another, at most `error` above (Opacus's PRV accountant, arXiv 2106.02848)."""
    accountant = PRVAccountant()
    accountant.history = list(spent)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it takes the logarithm of 1 - 1 at a sampling rate of 1
        return float(accountant.get_epsilon(delta, eps_error=error))


@cache
def noise_multiplier_within_budget(spent: tuple[MechanismSpec, ...], epsilon: float, delta: float) -> float:
    """The least noise multiplier of one Gaussian mechanism on everybody that, after `spent`, keeps epsilon.

    Raises:
        ValueError: nothing, or next to nothing, of epsilon is left.
    """
    most, error = 1e4, _error(epsilon)
    if epsilon_of([*spent, (most, 1.0, 1)], delta, error) > epsilon:
        if not spent:
            raise ValueError(f"epsilon {epsilon:g} is too small for delta {delta:g}: no noise of use keeps it")
        already = epsilon_of(spent, delta, error)
        raise ValueError(f"epsilon {epsilon:g} leaves nothing for one noisy look; {already:.3g} of it is spent before")
    # No less than where nothing is spent: what is spent is dear to account for again and again.
    low = noise_multiplier_within_budget((), epsilon, delta) / (1 + TOLERANCE) if spent else 0.1
    high = min(most, 2 * low)
    while high < most and epsilon_of([*spent, (high, 1.0, 1)], delta, error) > epsilon:
        low, high = high, min(most, 2 * high)
    while high / low > 1 + TOLERANCE:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if epsilon_of([*spent, (middle, 1.0, 1)], delta, error) <= epsilon else (middle, high)
    return high


@cache
def noise_multiplier_of_sgd(epsilon: float, delta: float, rate: float, steps: int) -> float:
    """The least noise multiplier of so many steps on images drawn at this rate that keeps epsilon."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(
            get_noise_multiplier(
                target_epsilon=epsilon,
                target_delta=delta,
                sample_rate=rate,
                steps=steps,
                accountant="prv",
                epsilon_tolerance=TOLERANCE * epsilon,
                eps_error=_error(epsilon),
            )
        )


def check_delta(delta: float) -> None:
    """Raise a ValueError for a delta that promises nothing, or that cannot be accounted for."""
    if not LEAST_DELTA <= delta < 0.1:
        raise ValueError(f"delta must be between {LEAST_DELTA:g} and 0.1, got {delta:g}")


def _error(epsilon: float) -> float:
    """The accountant's error for an epsilon.

    Raises:
        ValueError: it would take more memory than there is.
    """
    if epsilon < LEAST:
        raise ValueError(f"epsilon {epsilon:g} is smaller than can be accounted for; give {LEAST:g} or more")
    return min(ERROR, TOLERANCE * epsilon)


@dataclass(frozen=True, kw_only=True)
class PrivateTraining:
    """DP-SGD (Abadi et al., arXiv 1607.00133): Poisson batches, clipped gradients of each image, Gaussian noise.

    Args:
        epsilon: of the training.
        delta: likewise; the neighbours are datasets with one image more or less.
        steps: noisy steps.
        batch_size: expected images of a step; each is drawn by itself.
        clip: L2 norm of an image's gradient, at most.
        learning_rate: of SGD with momentum 0.9, cosine to 0.

    Raises:
        ValueError: a parameter is out of range.
    """

    epsilon: Positive
    delta: float = 1e-5
    steps: Count = 400
    batch_size: Count = 500
    clip: Positive = 1.0
    learning_rate: Positive = 0.5

    def __post_init__(self) -> None:
        check_ranges(self)
        check_delta(self.delta)

    def spend(self, count: int) -> MechanismSpec:
        """What the training of `count` images spends: the least noise that keeps epsilon."""
        rate = min(1.0, self.batch_size / count)
        return noise_multiplier_of_sgd(self.epsilon, self.delta, rate, self.steps), rate, self.steps

    def prepared(self, network: nn.Module) -> nn.Module:
        """A copy with group norms in the place of batch norms."""
        return without_batch_norm(network)

    def train(self, network: nn.Module, images: Images, resources: Resources) -> nn.Module:
        """Train a network with a guarantee; its batch norms become group norms first.

        Args:
            network: freshly initialised.
            images: what it learns from.
            resources: where to compute, and the randomness of noise and of who is drawn.

        Returns:
            Another network, in evaluation mode.
        """
        noise, rate, _ = self.spend(len(images))
        device, randomness = resources.device, resources.randomness
        private = self.prepared(network).to(device).train()
        wrapped = GradSampleModule(private)
        optimizer = _NoisyOptimizer(
            torch.optim.SGD(wrapped.parameters(), lr=self.learning_rate, momentum=0.9),
            noise_multiplier=noise,
            max_grad_norm=self.clip,
            expected_batch_size=max(1, round(rate * len(images))),
        )
        optimizer.randomness = randomness
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)
        pixels, labels = images.pixels.to(device), images.labels.to(device)
        for _ in range(self.steps):
            chosen = (randomness.uniform(len(images)) < rate).nonzero().squeeze(1).to(device)
            parts = chosen.split(AT_ONCE)  # an empty batch still is one empty part: noise is added at every step
            for index, part in enumerate(parts):
                _each_gradient(wrapped, pixels[part], labels[part])
                optimizer.signal_skip_step(do_skip=index + 1 < len(parts))  # noise once, when all are summed
                optimizer.step()
                optimizer.zero_grad()
            schedule.step()
        trained: nn.Module = wrapped.to_standard_module()
        return trained.eval()


class _NoisyOptimizer(DPOptimizer):  # type: ignore[misc]
    """Opacus's optimizer with noise of our choosing: its own comes from a torch generator, which has a seed."""

    randomness: Randomness

    def add_noise(self) -> None:
        """Add the noise to the summed, clipped gradients."""
        for parameter in self.params:
            summed = parameter.summed_grad
            noise = self.randomness.normal(*summed.shape).mul_(self.noise_multiplier * self.max_grad_norm)
            parameter.grad = (summed + noise.to(summed.device, summed.dtype)).view_as(parameter)


def _each_gradient(wrapped: GradSampleModule, pixels: Tensor, labels: Tensor) -> None:
    """Leave every image's own gradient with the parameters."""
    if not len(pixels):
        for parameter in wrapped.parameters():
            parameter.grad_sample = parameter.new_zeros((0, *parameter.shape))
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of images, whose gradients nobody asks for
        cross_entropy(wrapped(pixels.float().div(255)), labels).backward()


def without_batch_norm(network: nn.Module) -> nn.Module:
    """A copy with group norm in the place of batch norm, which mixes images, and nothing done in place."""
    fixed = copy.deepcopy(network)
    for layer in list(fixed.modules()):
        for name, child in layer.named_children():
            if isinstance(child, nn.BatchNorm2d):  # as many groups as Opacus's ModuleValidator takes
                setattr(layer, name, nn.GroupNorm(math.gcd(32, child.num_features), child.num_features))
        if isinstance(layer, nn.ReLU | nn.LeakyReLU | nn.ReLU6):
            layer.inplace = False
    return fixed


def dp_claim(epsilon: float, delta: float, mechanism: str, *, gaussian: bool = False) -> Claim:
    """The claim of (epsilon, delta) for one image more or less."""
    return Claim(
        kind="differential-privacy",
        epsilon=epsilon,
        delta=delta,
        relation="add/remove one image",
        mechanism=mechanism,
        gaussian=gaussian,
    )


def noisy_class_means(
    vectors: Tensor, labels: Tensor, classes: int, *, clip: float, noise: float, randomness: Randomness
) -> Tensor:
    """Each class's mean vector, from one Gaussian mechanism on sums and counts together.

    An image adds its vector, clipped and scaled to a norm of at most `COUNTED` below 1, and one scaled count, to its
    class's row: no more than 1 in all, whatever the image and its label.

    Args:
        vectors: (N, D) of the private images.
        labels: (N,) of them.
        classes: K.
        clip: norm of a vector, at most; longer ones are shortened.
        noise: standard deviation of the noise on what changes by at most 1.
        randomness: of the noise.

    Returns:
        (K, D) of a norm of at most `clip`, as that of the true means is; mostly noise where a class has no more images
        than the noise.
    """
    vectors = vectors.double()
    clipped = vectors / vectors.norm(dim=1, keepdim=True).clamp_min(clip)
    rows = torch.cat([clipped * (1 - COUNTED**2) ** 0.5, clipped.new_full((len(clipped), 1), COUNTED)], 1)
    sums = torch.zeros(classes, rows.shape[1], dtype=torch.float64).index_add_(0, labels, rows)
    sums = sums + noise * randomness.normal(*sums.shape)
    counts = (sums[:, -1:] / COUNTED).clamp_min(1)
    means: Tensor = sums[:, :-1] / (1 - COUNTED**2) ** 0.5 / counts
    short: Tensor = means / means.norm(dim=1, keepdim=True).clamp_min(1) * clip
    return short


COUNTED = 0.3
"""Share of the unit L2 sensitivity that is spent on the class count; the vector gets sqrt(1 - COUNTED**2)."""
