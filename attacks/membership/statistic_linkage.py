"""Linkage by what batch-norm layers see: who stands behind a released image that was made from network statistics."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from leakbench.attacks.attack import Attack, attacks
from leakbench.attacks.guess import Scores
from leakbench.attacks.membership.channel import Channel, class_means
from leakbench.attacks.membership.groups import Group, groups_of, images_behind, ranked, whole_groups
from leakbench.attacks.membership.teacher import TeacherTraining
from leakbench.attacks.view import Access, View
from leakbench.synth.defense import Release
from leakbench.synth.images import Images
from leakbench.synth.networks.statistics import image_moments, means_and_variances
from leakbench.synth.networks.training import Recipe
from leakbench.synth.ranges import Count
from leakbench.synth.seeds import derive_seed, seeded_rng


@attacks.register("statistic-linkage")
@dataclass(frozen=True, kw_only=True)
class StatisticLinkage(Attack):
    """Whose statistics explain a released image best?

    The attacker holds the published images, candidates and images of other people, knows the defense and can run it. It
    trains two teachers on its own images, has the defense make a shadow release of some of them with the one, looks at
    images through the other, and so learns how much of a private image's batch-norm statistics comes through from one
    network to another (a Gaussian channel). A candidate's link with a group
    of released images is the log-likelihood ratio of being among the private images behind it; its membership score is
    the logarithm of the mean of the likelihood ratios over the groups of its class. Released images of a group are
    explained together: matching makes their common mean that of the private images. Success is ranking a source first
    among all candidates of its class, or telling members from non-members. Works on any release: images that were not
    made from statistics have some nevertheless.

    Args:
        shadows: of the attacker's images the defense is run on, once; of every class as many whole groups as fit.
        links: groups whose candidates are ranked, drawn at random.
        network: architecture of the attacker's teacher.
        teacher_steps: of its training.

    The likelihood ratio is Homer et al.'s question (doi 10.1371/journal.pgen.1000167) asked of network statistics.
    """

    shadows: Count = 1000
    links: Count = 500
    network: str = "resnet20"
    teacher_steps: Count = 800

    family = "membership"
    needs = frozenset({Access.RELEASE, Access.AUXILIARY, Access.CANDIDATES, Access.RERUN})
    goal = "members"

    def run(self, view: View, *, seed: int, device: torch.device) -> Scores:
        """Learn the channel, then score every candidate against every group of its class."""
        teacher, release, candidates = self.teacher(view), view.release(), view.candidates()
        people = _features(candidates, teacher, device)
        means = class_means(people, candidates.labels, len(candidates.classes))
        people = people - means[candidates.labels]
        sent, received = self._shadow(view, teacher, seed=seed, device=device)
        channel = Channel.measured(people, sent, received)
        size = images_behind(release)
        groups = groups_of(release, size)
        seen = _group_features(release.images, groups, teacher, device)

        def evidence(these: Tensor, who: Tensor, label: int, size: int) -> Tensor:
            return channel.evidence(seen[these], means[label], people[who], size)

        values, links = ranked(groups, candidates.labels, size, evidence, count=self.links, seed=seed)
        shadows = 0.0 if sent is None else float(len(sent))
        notes = {"reruns": 1.0, "shadow groups": shadows, "components that come through": channel.through}
        return Scores(values, links, notes)

    def teacher(self, view: View, number: int = 0) -> nn.Module:
        """A network of the attacker's: the first looks at images, the next the defense reads."""
        training = TeacherTraining(network=self.network, recipe=Recipe(steps=self.teacher_steps), number=number)
        return view.train_on_auxiliary(training)  # type: ignore[no-any-return]

    def _shadow(
        self, view: View, teacher: nn.Module, *, seed: int, device: torch.device
    ) -> tuple[Tensor | None, Tensor | None]:
        """Features of private groups and of what the defense made of them; None where it does not say who."""
        own, published = view.auxiliary(), view.release()
        chosen = whole_groups(own.labels, self.shadows, images_behind(published), seeded_rng("shadows", seed))
        members, others = own.take(chosen), torch.ones(len(own), dtype=torch.bool).index_fill(0, chosen, False)
        public = own.take(others.nonzero().squeeze(1)) if others.any() else own
        made = view.rerun(members, teacher=self.teacher(view, 1), public=public, seed=derive_seed("shadow", seed))
        shadow = _as_published(made, published.about)
        groups = groups_of(shadow, images_behind(shadow))
        behind = _behind(shadow, groups, members)
        if not behind:
            return None, None
        private = _features(members, teacher, device)
        sent = torch.stack([private[index].mean(0) for index in behind])
        return sent, _group_features(shadow.images, groups, teacher, device)


@attacks.register("statistic-linkage-teacher")
@dataclass(frozen=True, kw_only=True)
class StatisticLinkageTeacher(StatisticLinkage):
    """The same where the teacher was published beside the release: the attacker sees what the defense saw.

    Of a defense that reads no teacher, the attacker takes a network trained on the release.
    """

    needs = StatisticLinkage.needs | {Access.TEACHER}

    def teacher(self, view: View, number: int = 0) -> nn.Module:
        """The published one, for both."""
        return view.teacher().network


def _as_published(made: Release, about: dict[str, Any]) -> Release:
    """A release in the order in which it would be published: by class, else as made."""
    order = made.images.labels.argsort(stable=True)
    sources = None if made.sources is None else made.sources[order]
    return Release(made.images.take(order), sources=sources, about=about)


def _behind(release: Release, groups: list[Group], members: Images) -> list[Tensor]:
    """The private images behind each group; nothing where the defense made no use of them, or does not say."""
    if release.sources is not None:
        found = [release.sources[positions[0]] for positions, _ in groups]
        return found if all((index >= 0).all() for index in found) else []
    if images_behind(release) is None:
        return [(members.labels == label).nonzero().squeeze(1) for _, label in groups]
    return []


def _features(images: Images, network: nn.Module, device: torch.device) -> Tensor:
    return means_and_variances(image_moments(network, images.pixels, device=device))


def _group_features(images: Images, groups: list[Group], network: nn.Module, device: torch.device) -> Tensor:
    """Of the released images of each group together, as the defense matched them."""
    moments = image_moments(network, images.pixels, device=device)
    return means_and_variances(torch.stack([moments[positions].mean(0) for positions, _ in groups]))
