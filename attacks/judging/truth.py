"""What only the judge knows, and what it hands down."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from leakbench.attacks.guess import Reconstructions
from leakbench.attacks.judging.candidates import assign, of_class
from leakbench.attacks.judging.observer import Observer
from leakbench.metrics.decision import ALARMS, level
from leakbench.synth.images import Images, Split


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What only the judge knows.

    Args:
        released: the release as the victims trained on it.
        victims: (V,) positions in the release of the attacked images, in the attack's order, client after client.
        sources: (N, k) the members behind each released image; -1 for nobody.
        split: members, holdout and auxiliary.
        seed: of resampling.
        device: where the oracle runs.
        batch: images of a client.
        candidates: (N,) positions in the members with the holdout behind them, in the order in which candidates were
            shown; None where none were.
        delta: of the bounds on epsilon: the one that the defense claims, if it claims one.
        gaussian: whether the defense says that what covers what is attacked is one Gaussian mechanism.
        alarms: probability of a false alarm that all measurements that decide share.
        oracle: a classifier trained on holdout images, which no attack sees; for attacks on a class alone.
        linker: among members, the network by which reconstructions are linked: the defense's teacher where it counts as
            published, else one of an attacker's own.
        observer: among members and holdout behind them, a network that has seen neither.
    """

    released: Images
    victims: Tensor
    sources: Tensor | None
    split: Split
    seed: int
    device: torch.device
    batch: int = 1
    candidates: Tensor | None = None
    delta: float = 1e-5
    gaussian: bool = False
    alarms: float = ALARMS
    oracle: nn.Module | None = None
    linker: Observer | None = None
    observer: Observer | None = None

    @property
    def single_source(self) -> Tensor | None:
        """(N,) the member behind each released image, where there is exactly one behind every one."""
        return single(self.sources)

    @property
    def deciding(self) -> float:
        """Level of each of the excesses that decide whether members leak: any one may say so."""
        return level("members", self.alarms)


def single(sources: Tensor | None) -> Tensor | None:
    """(N,) of (N, k) sources, where k is 1 and nobody is missing."""
    if sources is None or sources.shape[1] != 1 or (sources < 0).any():
        return None
    return sources[:, 0]


def comparable(guess: Reconstructions, truth: Truth) -> tuple[Reconstructions, Truth]:
    """A guess of gray images beside a truth in gray, both with as many equal channels as the images have."""
    channels = truth.released.pixels.shape[1]
    if guess.pixels.shape[1] == channels:
        return guess, truth
    parts = {name: _in_gray(getattr(truth.split, name), channels) for name in ("members", "holdout", "auxiliary")}
    gray = replace(
        truth,
        released=_in_gray(truth.released, channels),
        split=replace(truth.split, **parts),
        linker=truth.linker and truth.linker.among(_in_gray(truth.linker.people, channels)),
        observer=truth.observer and truth.observer.among(_in_gray(truth.observer.people, channels)),
    )
    return replace(guess, pixels=guess.pixels.expand(-1, channels, -1, -1)), gray


def _in_gray(images: Images, channels: int) -> Images:
    gray = images.gray()
    return replace(gray, pixels=gray.pixels.repeat(1, channels, 1, 1))


def one_source(position: Tensor, truth: Truth) -> Tensor:
    """The member behind each attacked image: its source where there is exactly one, else one of its class at random.

    Whoever stands in at random is found by chance alone: what needs somebody in particular decides nothing then.
    """
    if truth.single_source is not None:
        return truth.single_source[position]
    labels = truth.released.labels[position]
    return of_class(truth.split.members, labels, seed=truth.seed, purpose="stand-in")


def in_order(guess: Reconstructions, truth: Truth) -> tuple[Reconstructions, Tensor]:
    """The guess in the clients' order, and for each row the position in the release of one of its client's images."""
    assert guess.clients is not None
    order = guess.clients.argsort(stable=True)
    clients = guess.clients[order]
    found, counts = clients.unique(return_counts=True)
    if found.tolist() != list(range(len(found))):
        raise ValueError(f"a guess must claim images of clients 0, 1, 2, … and skip none, got clients {found.tolist()}")
    if (counts != truth.batch).any():
        raise ValueError(f"a guess must claim {truth.batch} images of a client, got {sorted(set(counts.tolist()))}")
    slots = (found[:, None] * truth.batch + torch.arange(truth.batch)).flatten()
    return replace(guess, pixels=guess.pixels[order], labels=guess.labels[order], clients=clients), truth.victims[slots]


def paired(guess: Reconstructions, truth: Truth) -> tuple[Reconstructions, Tensor]:
    """The guess row by row beside the victims that it stands for, with their true labels, and their positions.

    By the true labels, because a wrongly inferred label must not hide a right image.
    """
    guess, position = in_order(guess, truth)
    assert guess.clients is not None
    victims = truth.released.take(position)
    order = assign(guess.pixels, victims.float(), guess.clients)
    return replace(guess, pixels=guess.pixels[order], labels=victims.labels), position
