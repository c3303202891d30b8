"""What an attack returns: images, or scores of candidates or of canaries."""

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Reconstructions:
    """A guess made of images.

    Args:
        pixels: float (R, C, H, W) in [0, 1]; one channel where the guess is of the images in gray.
        labels: (R,) the class the attack says each shows.
        clients: (R,) for each, the client whose training images it claims to be one of, or None where the guess is of
            a class and of nobody in particular. Clients are numbered as their images are attacked, and as many images
            are claimed of a client as it has.
        notes: what the attack observed about itself, by name; printed beside its measurements, never judged.
    """

    pixels: Tensor
    labels: Tensor
    clients: Tensor | None = None
    notes: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.pixels.ndim != 4 or len(self.labels) != len(self.pixels):
            raise ValueError(f"a guess needs (R, C, H, W) pixels and R labels, got {tuple(self.pixels.shape)}")
        if not torch.isfinite(self.pixels).all() or self.pixels.min() < 0 or self.pixels.max() > 1:
            raise ValueError("a guess's pixels must be finite and in [0, 1]")


@dataclass(frozen=True)
class Links:
    """How well each candidate explains each of some released images.

    Args:
        released: (R,) positions in the release.
        scores: (R, N) finite, for each candidate in the order in which the view shows them; higher means better.
    """

    released: Tensor
    scores: Tensor

    def __post_init__(self) -> None:
        if self.scores.ndim != 2 or len(self.released) != len(self.scores) or not torch.isfinite(self.scores).all():
            raise ValueError("a guess's links must be finite, one for each of its released images and each candidate")


@dataclass(frozen=True)
class Scores:
    """A guess made of membership scores.

    Args:
        values: (N,) finite, one for each candidate in the order in which the view shows them; higher means member.
        links: between released images and candidates, where the attack says something of them.
        notes: what the attack observed about itself, by name; printed beside its measurements, never judged.
    """

    values: Tensor
    links: Links | None = None
    notes: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.values.ndim != 1 or not torch.isfinite(self.values).all():
            raise ValueError("a guess's scores must be finite, one for each candidate")


@dataclass(frozen=True)
class Canaries:
    """A guess made of scores of canaries, of which the attack has tossed the coins itself.

    Args:
        inside: (R,) finite, of canaries that went in; higher means in.
        outside: (R,) of those that stayed out; where there was one run, each the partner of the one in its place.
        reruns: of the defense: 1, or one for each score.
        notes: what the attack observed about itself, by name; printed beside its measurements, never judged.
    """

    inside: Tensor
    outside: Tensor
    reruns: int
    notes: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        scores = torch.cat([self.inside, self.outside])
        if len(self.inside) != len(self.outside) or not torch.isfinite(scores).all():
            raise ValueError("a guess's canaries must be as many in as out, with finite scores")
        if self.reruns not in (1, len(scores)):
            raise ValueError(f"{len(scores)} canaries were scored in {self.reruns} runs; one run, or one each")


Guess = Reconstructions | Scores | Canaries
