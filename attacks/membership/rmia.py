"""Membership by pairwise likelihood ratios with other people's images (RMIA, Zarifzadeh et al., arXiv 2312.03262)."""

from dataclasses import dataclass
from math import factorial
from typing import Annotated, Literal

import torch
from annotated_types import Ge
from torch import Tensor, nn
from torch.nn.functional import one_hot

from leakbench.attacks.attack import attacks
from leakbench.attacks.guess import Scores
from leakbench.attacks.membership.model_attack import ModelAttack, OfSoftLabels, OfTheTeacher, instead_of_model
from leakbench.attacks.membership.shadows import ShadowTraining, answers, check_count
from leakbench.attacks.view import Access, View
from leakbench.synth.images import Images
from leakbench.synth.ranges import Count, Share
from leakbench.synth.seeds import seeded_rng

TEMPERATURE, MARGIN, ORDER = 2.0, 0.6, 4
"""Of the soft-margin Taylor softmax; an even order keeps it above 0."""


@attacks.register("rmia")
@dataclass(frozen=True, kw_only=True)
class Rmia(ModelAttack):
    """Did the student gain on a candidate what it did not gain on other people's images?

    The attacker holds a student of the release, knows how it was trained, and holds candidates and images of other
    people. It trains shadow students on random halves of the candidates. A candidate's score is the share of other
    people's images z for which (p(x | student) / p(x)) / (p(z | student) / p(z)) >= gamma, p(x) the mean probability of
    its label among shadows with and without it (equations 2 and 3). Success is telling members from non-members.

    Args:
        mode: ``online``: p(x) over shadows with and without the candidate. ``offline``: from those without it, as
            ((1 + a) p_out + 1 - a) / 2 (appendix B.2.2).
        shadows: networks, each trained on half of the candidates; even.
        others: other people's images that a candidate is compared with.
        gamma: of the ratio.
        a: of the offline approximation, which serves other people's images in either mode: no shadow saw them.
        probabilities: ``softmax``, or ``taylor``: the soft-margin Taylor softmax (arXiv 2011.11538) at a temperature of
            `TEMPERATURE`, with a margin of `MARGIN` and terms up to `ORDER`, as in the authors' code.

    Differs from the paper: where students are trained on mirror images, the probabilities of both are averaged instead
    of taking a vote.
    """

    mode: Literal["online", "offline"] = "online"
    shadows: int = 16
    others: Count = 2500
    gamma: Annotated[float, Ge(1)] = 2.0
    a: Share = 0.3
    probabilities: Literal["softmax", "taylor"] = "softmax"

    needs = frozenset({Access.MODEL, Access.CANDIDATES, Access.AUXILIARY})

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("shadows", self.shadows)

    def run(self, view: View, *, seed: int, device: torch.device) -> Scores:
        """Score every candidate."""
        student, candidates, own = self.attacked(view), view.candidates(), view.auxiliary()
        others = own.take(torch.randperm(len(own), generator=seeded_rng("rmia", seed))[: self.others])
        shadows = view.train_on_candidates(
            ShadowTraining(network=student.name, recipe=student.recipe, count=self.shadows)
        )
        of = PROBABILITIES[self.probabilities]

        def answered(network: nn.Module, images: Images) -> Tensor:
            return of(answers(network, images, flip=student.recipe.flip, device=device), images.labels)

        known = of(shadows.answers, candidates.labels)
        elsewhere = torch.stack([answered(network, others) for network in shadows.networks])
        mine, theirs = (answered(student.network, images) for images in (candidates, others))
        outside = _mean(known, ~shadows.inside)
        online = (outside + _mean(known, shadows.inside)) / 2
        usual = online if self.mode == "online" else self._offline(outside)
        gains, plain = mine / usual, theirs / self._offline(elsewhere.mean(0))
        return Scores(self.ratio(gains, plain), notes={"shadow models": float(self.shadows)})

    def _offline(self, outside: Tensor) -> Tensor:
        return ((1 + self.a) * outside + 1 - self.a) / 2

    def ratio(self, gains: Tensor, others: Tensor) -> Tensor:
        """(N,) share of others (Z,) that gains (N,) exceed by the factor gamma."""
        below = torch.searchsorted(others.sort().values, gains / self.gamma, right=True)
        return below.double() / len(others)


def softmax(logits: Tensor, labels: Tensor) -> Tensor:
    """(..., N) probability of the label from logits (..., Q, N, K), the mean over queries."""
    return _of_the_label(logits.double().softmax(-1), labels)


def taylor(logits: Tensor, labels: Tensor) -> Tensor:
    """The same of a polynomial in the place of the exponential, the label's logit lowered by a margin."""
    z = logits.double() / TEMPERATURE
    z = z - MARGIN * one_hot(labels, z.shape[-1]).double()
    powers = torch.stack([z**k / factorial(k) for k in range(ORDER + 1)]).sum(0)
    return _of_the_label(powers / powers.sum(-1, keepdim=True), labels)


PROBABILITIES = {"softmax": softmax, "taylor": taylor}


def _of_the_label(chances: Tensor, labels: Tensor) -> Tensor:
    mean = chances.mean(-3)
    return mean.gather(-1, labels.view(-1, 1).expand(*mean.shape[:-1], 1)).squeeze(-1)


def _mean(values: Tensor, who: Tensor) -> Tensor:
    return torch.where(who, values, torch.nan).nanmean(0)


@attacks.register("rmia-soft")
@dataclass(frozen=True, kw_only=True)
class RmiaSoft(OfSoftLabels, Rmia):
    """The same where the student learned the release's soft labels; shadows learn candidates' hard ones."""

    needs = instead_of_model(Rmia.needs, Access.SOFT_MODEL)


@attacks.register("rmia-teacher")
@dataclass(frozen=True, kw_only=True)
class RmiaTeacher(OfTheTeacher, Rmia):
    """The same of the teacher that was published beside the release; shadows are trained as it was."""

    needs = instead_of_model(Rmia.needs, Access.TEACHER)
