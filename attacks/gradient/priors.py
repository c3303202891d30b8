"""What natural images look like: penalties per client on images in the networks' normalised units."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from leakbench.attacks.gradient.layers import Affine, split_norms
from leakbench.attacks.shared_gradients import SharedGradients
from leakbench.synth.networks.architectures import MEAN, STD

Prior = Callable[[Tensor], Tensor]
"""Function from images (J, B, C, H, W) in normalised units to a penalty (J,)."""


def total_variation(images: Tensor) -> Tensor:
    """Anisotropic total variation: mean absolute horizontal plus mean absolute vertical difference.

    Beyond the right and lower edge lies mid-gray, as in breaching.
    """
    horizontal: Tensor = pad(images, (0, 1, 0, 0)).diff(dim=4).abs().mean((1, 2, 3, 4))
    return horizontal + pad(images, (0, 0, 0, 1)).diff(dim=3).abs().mean((1, 2, 3, 4))


def magnitude(images: Tensor) -> Tensor:
    """Euclidean norm of an image, averaged over a client's images."""
    mean: Tensor = torch.linalg.vector_norm(images, dim=(2, 3, 4)).mean(1)
    return mean


def group_consistency(restarts: int) -> Prior:
    """Squared distance of each restart's images to the mean over the client's restarts (arXiv 2104.07586, section 3.4).

    Without the paper's registration: the restarts share the labels' order, not their images' places.

    Args:
        restarts: of a client; a client's restarts follow each other.
    """

    def penalty(images: Tensor) -> Tensor:
        starts = images.unflatten(0, (-1, restarts))
        apart: Tensor = (starts - starts.mean(1, keepdim=True)).square()
        return apart.flatten(2).mean(2).flatten()

    return penalty


class BatchNormPrior:
    """Distance of the images' batch-norm statistics to known ones (arXiv 2104.07586, equation 9).

    The sum over batch-norm layers of ||mean - known mean||_2 + ||variance - known variance||_2, of a layer's inputs
    over a client's images; the first layer counts `first` times. The known ones are what the clients sent, else the
    shared network's running statistics.

    Args:
        shared: what clients sent; `statistics` may be None.
        clients: (J,) which client each row of images belongs to.
        first: weight of the first layer.

    Raises:
        ValueError: the network has no batch norm.
    """

    def __init__(self, shared: SharedGradients, clients: Tensor, first: float = 10.0) -> None:
        norms = [m for m in shared.network.modules() if isinstance(m, nn.BatchNorm2d)]
        if not norms:
            raise ValueError("a batch-norm prior needs a network with batch norm")
        running = [(m.running_mean, m.running_var) for m in norms]
        known: Sequence[tuple[Tensor, Tensor]]
        if shared.statistics is not None:
            known = [(mean[clients], variance[clients]) for mean, variance in shared.statistics]
        else:
            known = [(m.detach()[None], v.detach()[None]) for m, v in running if m is not None and v is not None]
        self.known, self.batch = known, shared.batch
        self.weights = [first] + [1.0] * (len(norms) - 1)
        self.network = split_norms(shared.network, shared.batch)
        self.inputs: list[Tensor] = []
        for name, layer in shared.network.named_modules():
            if isinstance(layer, nn.BatchNorm2d):
                self.network.get_submodule(name).register_forward_pre_hook(self._note)

    def _note(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, Affine | nn.Sequential)
        self.inputs.append(inputs[0].unflatten(0, (-1, self.batch)))

    def __call__(self, images: Tensor) -> Tensor:
        """The penalty (J,)."""
        self.inputs.clear()
        self.network(images.flatten(0, 1) * STD + MEAN)
        penalty = images.new_zeros(len(images))
        for inputs, (mean, variance), weight in zip(self.inputs, self.known, self.weights, strict=True):
            own_variance, own_mean = torch.var_mean(inputs, dim=(1, 3, 4), correction=0)
            penalty = penalty + weight * ((own_mean - mean).norm(dim=1) + (own_variance - variance).norm(dim=1))
        return penalty
