"""What descends from batch-norm matching: a few images a class, inverted from one or several networks."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from math import exp, log, sqrt

import torch
from torch import Tensor, nn
from torchvision.transforms.v2.functional import resized_crop

from leakbench.synth.defense import Release, Resources
from leakbench.synth.defenses.inversion import Pass, frozen
from leakbench.synth.defenses.matching import Matching
from leakbench.synth.defenses.starts import StartedInversion
from leakbench.synth.images import Images
from leakbench.synth.networks.training import predict
from leakbench.synth.ranges import Count, Positive, Share
from leakbench.synth.seeds import seeded_rng

ASPECT = 4 / 3
"""Width by height of a crop at most, and height by width."""

Matcher = Callable[[Tensor], Sequence[Matching]]
"""From a batch's labels (N,) to what networks want of it."""


@dataclass(frozen=True, kw_only=True)
class Condensation(StartedInversion):
    """A dataset condensed to some images a class, by inversion as dataset condensation does it.

    A batch holds the classes in turn, as often as fits, or so many of them as fit; each step shows it to one network,
    cropped at random.

    Args:
        images_per_class: to release of each class.
        first_weight: of the first layer's statistics in the matching loss: the first batch norm's, or, where
            convolutions are looked at, the first convolution's.
        crop: least share of an image's area that a random crop shows the network; 1 crops nothing.
    """

    images_per_class: Count = 50
    batch_size: Count = 100
    bn_weight: float = 0.01
    first_weight: Positive = 10.0
    crop: Share = 1.0
    betas = (0.5, 0.9)

    def networks(self, members: Images, resources: Resources) -> list[nn.Module]:
        """Those that images are inverted from, trained; the teacher alone by default."""
        return [resources.teacher.to(resources.device)]

    def matcher(self, networks: list[nn.Module], members: Images, device: torch.device) -> Matcher:
        """What frozen networks want of a batch."""
        raise NotImplementedError

    def also(self, labels: Tensor) -> Callable[[Pass], Tensor] | None:
        """A further term of the loss of a batch with these labels; none by default."""
        return None

    def release(self, members: Images, resources: Resources) -> Release:
        """Invert batch by batch; soft labels are the softmax of the networks' mean logits."""
        seed, device, name = resources.seed, resources.device, type(self).__name__
        rng, drawing = seeded_rng(name, seed, device=device), seeded_rng("start", seed)
        present = members.labels.unique()
        labels = present.repeat(self.images_per_class)
        networks = self.networks(members, resources)
        pixels, shown, gray = [], [], members.is_gray
        with ExitStack() as still:
            for network in networks:
                still.enter_context(frozen(network))
            matcher = self.matcher(networks, members, device)
            rounds = self.batch_size // len(present) * len(present)
            for part in labels.split(rounds or self.batch_size):
                start, begun = self.begin(part, members, resources, drawing)
                shown.append(begun)
                shape, wanted, also = members.pixels.shape[1:], matcher(part.to(device)), self.also(part.to(device))
                made = self.invert(wanted, part, shape, rng, start=start, gray=gray, also=also)
                pixels.append(made)
            images = Images(torch.cat(pixels), labels, members.classes)
            said = [predict(network, images.pixels, device=device) for network in networks]
        soft = torch.stack(said).mean(0).softmax(1) if self.soft_labels else None
        return Release(images, soft_labels=soft, sources=torch.cat(shown) if self.start == "members" else None)

    def least_area(self, progress: float) -> float:
        """Least share of the area that a crop shows, after this share of the steps."""
        return self.crop

    def view(self, rng: torch.Generator, progress: float) -> Callable[[Tensor], Tensor]:
        """Rolled and flipped, and cropped to a random part that is scaled up again."""
        moved, least = super().view(rng, progress), self.least_area(progress)
        if least == 1:
            return moved
        drawn = torch.rand(4, generator=rng, device=rng.device).tolist()
        return lambda x: random_crop(moved(x), least, drawn)


def random_crop(x: Tensor, least: float, drawn: Sequence[float]) -> Tensor:
    """A part of a batch (N, C, H, W), the same of all images, scaled up to their size.

    Args:
        x: the batch.
        least: share of the area that the part has at least, in (0, 1].
        drawn: four numbers in [0, 1): of area, aspect ratio, row, column.
    """
    height, width = x.shape[2:]
    area = least + (1 - least) * drawn[0]
    ratio = exp(log(ASPECT) * (2 * drawn[1] - 1))
    rows = min(height, max(1, round(height * sqrt(area / ratio))))
    columns = min(width, max(1, round(width * sqrt(area * ratio))))
    top, left = int(drawn[2] * (height - rows + 1)), int(drawn[3] * (width - columns + 1))
    return resized_crop(x, top, left, rows, columns, [height, width], antialias=True)  # type: ignore[no-any-return]
