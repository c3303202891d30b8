"""Linkage to the model of a class that stands behind released images, in whitened statistics."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool1d

from leakbench.attacks.attack import Attack, attacks
from leakbench.attacks.guess import Scores
from leakbench.attacks.membership.channel import class_means
from leakbench.attacks.membership.groups import groups_of, images_behind, ranked
from leakbench.attacks.membership.teacher import TeacherTraining
from leakbench.attacks.membership.whitening import Whitening
from leakbench.attacks.view import Access, View
from leakbench.synth.networks.statistics import image_moments, to_vectors
from leakbench.synth.networks.training import Recipe
from leakbench.synth.ranges import Count

NEIGHBOURS = 51
"""Components, in the order of how much people differ in them, that tell what to expect of the one in their middle."""
WEIGHT = 9
"""Released groups that what to expect weighs against what a component shows itself."""


@attacks.register("whitened-linkage")
@dataclass(frozen=True, kw_only=True)
class WhitenedLinkage(Attack):
    """Whose statistics lie in the direction in which the release's differ from other people's?

    The attacker holds the published images, candidates and images of other people, and runs nothing: it trains a
    network on its own images and looks at everything through it. Released images are pooled by what release.json says
    stands behind a statistic, a group of private images or, where it says nothing, a whole class: the mean of n private
    images lies off other people's by about 1/n of each of them. Statistics are whitened as other people's of the same
    class are; what all groups share is the inversion's own, and is taken off; what is left of each component is
    weighted by how little it varies from group to group. A candidate's link with a group is the log-likelihood ratio of
    having moved it, its membership score the logarithm of the mean of the ratios over the groups of its class. Success
    is telling members from non-members, or ranking a source first.

    Args:
        components: in which people differ most; those behind them add more noise than they tell. Of class-wise
            `bn-matching` of 5,000 CIFAR-10 members and of `statistic-sampling` of 10,000, AUC with 64, 256 and 1,000:
            0.586, 0.606, 0.610 and 0.525, 0.528, 0.521.
        links: groups whose candidates are ranked, drawn at random.
        network: architecture of the attacker's network.
        steps: of its training.

    `statistic-linkage` learns from a rerun what comes through of single images; where a class stands behind an image,
    this finds more (docs/claims.md). Homer et al. (doi 10.1371/journal.pgen.1000167) asked the same of allele counts.
    """

    components: Count = 256
    links: Count = 500
    network: str = "resnet20"
    steps: Count = 800

    family = "membership"
    needs = frozenset({Access.RELEASE, Access.AUXILIARY, Access.CANDIDATES})
    goal = "members"

    def run(self, view: View, *, seed: int, device: torch.device) -> Scores:
        """Whiten, pool, and ask every candidate of a class for every group of it."""
        release, candidates, own, network = view.release(), view.candidates(), view.auxiliary(), self.observer(view)
        theirs = image_moments(network, own.pixels, device=device)
        vectors, classes = to_vectors(theirs), len(own.classes)
        usual = class_means(vectors, own.labels, classes)
        whitening = Whitening.leading(vectors - usual[own.labels], self.components)
        people = whitening(
            to_vectors(image_moments(network, candidates.pixels, device=device)) - usual[candidates.labels]
        )
        size = images_behind(release, unsaid=None)
        groups = groups_of(release, size)
        pictures = image_moments(network, release.images.pixels, device=device)
        seen = to_vectors(torch.stack([pictures[positions].mean(0) for positions, _ in groups]))
        expected = to_vectors(class_means(theirs.flatten(1), own.labels, classes).view(-1, *theirs.shape[1:]))
        moved, spread = apart((seen - expected[[label for _, label in groups]]) @ whitening.axes)

        def evidence(these: Tensor, who: Tensor, label: int, size: int) -> Tensor:
            return log_ratios(moved[these], spread, people[who], size)

        values, links = ranked(groups, candidates.labels, size, evidence, count=self.links, seed=seed)
        return Scores(values, links, notes={"groups": float(len(groups))})

    def observer(self, view: View) -> nn.Module:
        """The network whose statistics are looked at: one of the attacker's own."""
        training = TeacherTraining(network=self.network, recipe=Recipe(steps=self.steps))
        return view.train_on_auxiliary(training)  # type: ignore[no-any-return]


@attacks.register("whitened-linkage-teacher")
@dataclass(frozen=True, kw_only=True)
class WhitenedLinkageTeacher(WhitenedLinkage):
    """The same where the teacher was published beside the release: the attacker sees what the defense saw.

    Of a defense that reads no teacher, the attacker takes a network trained on the release.
    """

    needs = WhitenedLinkage.needs | {Access.TEACHER}

    def observer(self, view: View) -> nn.Module:
        """The published one."""
        return view.teacher().network


def log_ratios(moved: Tensor, spread: Tensor, people: Tensor, size: int) -> Tensor:
    """(G, N) log-likelihood ratios: has a candidate moved the group, as one of the `size` images behind it?

    With it, a component of what the group lies off is N(x / size, spread), else N(0, spread).

    Args:
        moved: (G, J) how groups of a class lie off, in whitened components.
        spread: (J,) variances from group to group.
        people: (N, J) candidates of the class.
        size: private images behind a group.
    """
    share = people / size
    return (moved / spread) @ share.T - (share.square() / spread).sum(1) / 2


def apart(moved: Tensor) -> tuple[Tensor, Tensor]:
    """How each group differs from the others, and how much groups do, by component.

    Args:
        moved: (G, J) whitened differences from other people, in the order of how much people differ.

    Returns:
        (G, J) without what all groups share, and (J,) variances, each shrunk to those of its neighbours. Of a single
        group, as it is, and ones.
    """
    if len(moved) < 2:
        return moved, torch.ones_like(moved[0])
    own = moved - moved.mean(0)
    variance, free = own.square().sum(0) / (len(own) - 1), len(own) - 1
    around = avg_pool1d(variance[None], NEIGHBOURS, 1, NEIGHBOURS // 2, count_include_pad=False)[0]
    return own, ((free * variance + WEIGHT * around) / (free + WEIGHT)).clamp_min(1e-12)
