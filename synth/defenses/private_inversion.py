"""What defenses share that invert noisy statistics of the members on a teacher with a guarantee."""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from leakbench.synth.defense import Claim, Release, Resources
from leakbench.synth.defenses.differential_privacy import PrivateTraining, dp_claim, noise_multiplier_within_budget
from leakbench.synth.defenses.dp_linear_probe import DPLinearProbe
from leakbench.synth.defenses.inversion import Inversion, frozen
from leakbench.synth.defenses.matching import by_layer, group_matrix, matching
from leakbench.synth.images import Images, round_robin_by_class
from leakbench.synth.networks.architectures import NETWORKS, build
from leakbench.synth.networks.public import LEAST_SIDE, digests, missing
from leakbench.synth.networks.training import predict
from leakbench.synth.ranges import Count, Positive, ProperShare
from leakbench.synth.seeds import derive_seed, seeded_rng


@dataclass(frozen=True, kw_only=True)
class PrivateInversion(Inversion):
    """A teacher with a guarantee, one noisy look at the members' statistics, and inversion.

    Args:
        teacher: ``private``, a network that learns the members from scratch by DP-SGD; or ``public``, one that learned
            from public photographs, which costs nothing, below a linear head that learns the members with a guarantee
            (`dp_linear_probe`).
        epsilon: of everything that the release tells of the members.
        delta: likewise.
        teacher_share: of epsilon, that goes into the teacher's training, or its head's.
        side: pixels of the shorter side that the public teacher sees smaller images scaled up to.
        network: of the private teacher; batch norm becomes group norm, whose inputs have statistics too.
        teacher_steps: noisy steps of its training.
        teacher_batch: images of a step, expected.
        teacher_rate: its learning rate.
        num_images: how many to release.
        start: what is optimised: ``noise``, or ``public`` images.
    """

    teacher: Literal["private", "public"] = "private"
    epsilon: Positive = 8.0
    delta: float = 1e-5
    teacher_share: ProperShare = 0.7
    side: Count = LEAST_SIDE
    network: str = "convnet3"
    teacher_steps: int = 400
    teacher_batch: int = 500
    teacher_rate: float = 0.5
    num_images: Count = 1000
    start: Literal["noise", "public"] = "noise"
    teacher_based = False  # it trains one of its own
    reads_public = True
    relies_on_randomness = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.training()  # checks its parameters
        self.head()
        if self.network not in NETWORKS:
            raise ValueError(f"there is no network {self.network!r}; there are: {', '.join(sorted(NETWORKS))}")

    @property
    def release_claim(self) -> Claim:
        """The (epsilon, delta) of the teacher and the one look together."""
        public = self.teacher == "public"
        first = "noisy gradients of a linear head" if public else "DP-SGD of the teacher"
        mechanism = f"{first} and one Gaussian mechanism, composed by Opacus's PRV accountant"
        return dp_claim(self.epsilon, self.delta, mechanism, gaussian=public)

    def missing(self) -> str:
        """A network trained on public photographs, where it is asked for and none is at hand."""
        return missing() if self.teacher == "public" else ""

    def reads(self) -> tuple[str, ...]:
        """The weights of that network."""
        return digests() if self.teacher == "public" else ()

    def head(self) -> DPLinearProbe:
        """How the head on a public teacher is trained."""
        return DPLinearProbe(epsilon=self.epsilon * self.teacher_share, delta=self.delta, side=self.side)

    def training(self) -> PrivateTraining:
        """How a private teacher is trained."""
        return PrivateTraining(
            epsilon=self.epsilon * self.teacher_share,
            delta=self.delta,
            steps=self.teacher_steps,
            batch_size=self.teacher_batch,
            learning_rate=self.teacher_rate,
        )

    def statistics(
        self, network: nn.Module, members: Images, labels: Tensor, noise: float, resources: Resources
    ) -> Tensor:
        """(N, 2 channels) means and variances for released images of these labels, from one noisy look at the members.

        Args:
            network: the private teacher.
            members: the private images.
            labels: (N,) of the released images.
            noise: multiplier of the one Gaussian mechanism, of what one image changes.
            resources: public images, to scale and to project by, and the randomness of the noise.
        """
        raise NotImplementedError

    def release(self, members: Images, resources: Resources) -> Release:
        """Train a teacher, look at the members' statistics once, invert."""
        gray, device, seed = _is_gray(members), resources.device, resources.seed
        if gray:  # networks see three channels
            members, resources = _colored(members), resources.with_public(_colored(resources.public))
        public = resources.public
        fresh = build(self.network, classes=len(members.classes), side=members.side, seed=derive_seed("private", seed))
        training = self.head() if self.teacher == "public" else self.training()
        network = training.train(fresh, members, resources)
        noise = noise_multiplier_within_budget((training.spend(len(members)),), self.epsilon, self.delta)
        # Which classes there are is no secret; how many images each has is.
        labels = torch.arange(self.num_images) % len(members.classes)
        pixels = []
        with frozen(network):
            wanted = self.statistics(network, members, labels, noise, resources)
            order = round_robin_by_class(public.labels, seeded_rng("starts", seed))[
                torch.arange(self.num_images) % len(public)
            ]
            search = seeded_rng("inversion", seed, device=device)
            for part in torch.arange(self.num_images).split(self.batch_size):
                targets = by_layer(wanted[part].float().to(device), network)
                each = group_matrix(torch.ones(len(part), dtype=torch.long), device)
                begin = public.pixels[order[part]] if self.start == "public" else None
                shape = members.pixels.shape[1:]
                pixels.append(self.invert([matching(network, targets, each)], labels[part], shape, search, start=begin))
            images = Images(torch.cat(pixels), labels, members.classes)
            soft = predict(network, images.pixels, device=device).softmax(1) if self.soft_labels else None
        return Release(images.gray() if gray else images, soft_labels=soft)


def _is_gray(images: Images) -> bool:
    return images.pixels.shape[1] == 1


def _colored(images: Images) -> Images:
    return replace(images, pixels=images.pixels.repeat(1, 3, 1, 1))
