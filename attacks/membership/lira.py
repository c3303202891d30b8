"""Membership by likelihood ratios of a student's confidence (LiRA, Carlini et al., arXiv 2112.03570)."""

from dataclasses import dataclass
from typing import Literal

import torch
from scipy.stats import norm
from torch import Tensor

from leakbench.attacks.attack import Attack, attacks
from leakbench.attacks.guess import Scores
from leakbench.attacks.membership.shadows import Shadows, ShadowTraining, answers, check_count
from leakbench.attacks.view import Access, StudentModel, View
from leakbench.synth.images import Images

LEAST_SPREAD = 1e-6
"""Smallest standard deviation that is divided by."""


@attacks.register("lira")
@dataclass(frozen=True, kw_only=True)
class Lira(Attack):
    """Is the student as sure of a candidate as networks are that were trained on it, or as those that were not?

    The attacker holds a student of the release, knows how it was trained, and holds candidates. It trains shadow
    students on random halves of the candidates' own images, and takes the attacked one for another of them: what the
    defense does in between it ignores (`lira-pipeline` does not). A candidate's score is the likelihood ratio of the
    attacked student's confidence, log p_y - log sum_{c != y} p_c, under two Gaussians fitted to the shadows'. Success
    is telling members from non-members, above all the few for sure.

    Args:
        mode: ``online``: shadows with the candidate against those without. ``offline``: how unlikely so high a
            confidence is among those without it (section 4.3: trained before the candidate is known).
        variance: ``per-example``, or ``fixed``: one for all, better with few shadows.
        shadows: networks, each trained on half of the candidates; even.

    Differs from the authors' code: the fixed variance is that about each candidate's own median, not about the
    mean of all; ``offline`` is one-sided, as in the paper. Medians stand for means, as in their code. Where students
    are trained on mirror images, both are asked, and the log-ratios averaged.
    """

    mode: Literal["online", "offline"] = "online"
    variance: Literal["fixed", "per-example"] = "fixed"
    shadows: int = 16

    family = "membership"
    needs = frozenset({Access.MODEL, Access.CANDIDATES})
    goal = "members"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("shadows", self.shadows, least=2 if self.variance == "fixed" else 4)

    def run(self, view: View, *, seed: int, device: torch.device) -> Scores:
        """Score every candidate."""
        student, candidates = view.model(), view.candidates()
        shadows = self.shadow(view, student, candidates, seed=seed, device=device)
        seen = confidence(answers(student.network, candidates, flip=student.recipe.flip, device=device), candidates)
        known = confidence(shadows.answers, candidates)
        return Scores(self.ratio(seen, known, shadows.inside), notes={"shadow models": float(self.shadows)})

    def shadow(
        self, view: View, student: StudentModel, candidates: Images, *, seed: int, device: torch.device
    ) -> Shadows:
        """Students of halves of the candidates."""
        training = ShadowTraining(network=student.name, recipe=student.recipe, count=self.shadows)
        return view.train_on_candidates(training)  # type: ignore[no-any-return]

    def ratio(self, seen: Tensor, known: Tensor, inside: Tensor) -> Tensor:
        """(N,) log-likelihood ratios, the mean over queries.

        Args:
            seen: (Q, N) the attacked student's confidence.
            known: (S, Q, N) the shadows'.
            inside: (S, N) whether a candidate was in a shadow's training set.
        """
        without, spread_without = self._fit(known, ~inside)
        if self.mode == "offline":
            surprise = norm.logsf(((seen - without) / spread_without).numpy())
            return -torch.from_numpy(surprise).mean(0)
        within, spread_within = self._fit(known, inside)
        return (_log_density(seen, within, spread_within) - _log_density(seen, without, spread_without)).mean(0)

    def _fit(self, known: Tensor, who: Tensor) -> tuple[Tensor, Tensor]:
        """(Q, N) medians, and standard deviations of the shadows that `who` (S, N) marks."""
        marked = torch.where(who[:, None], known, torch.nan)
        centre = marked.nanquantile(0.5, dim=0)
        squares = (marked - centre).square()
        if self.variance == "per-example":
            return centre, squares.nanmean(0).sqrt().clamp_min(LEAST_SPREAD)
        # A median of n values lies within them: their spread about it is too small by about (n - 1) / n.
        count = who.sum(0).double().mean()
        pooled = (squares.nanmean() * count / (count - 1).clamp_min(1)).sqrt().clamp_min(LEAST_SPREAD)
        return centre, pooled.expand_as(centre)


def confidence(logits: Tensor, images: Images) -> Tensor:
    """(..., N) log p_y - log sum_{c != y} p_c of logits (..., N, K), in double precision."""
    logits = logits.double()
    chosen = torch.zeros(logits.shape[-2:], dtype=torch.bool).scatter_(1, images.labels[:, None], True)
    own = logits.where(chosen, -torch.inf).amax(-1)
    return own - logits.where(~chosen, -torch.inf).logsumexp(-1)


def _log_density(x: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    return -((x - mean) / deviation).square() / 2 - deviation.log()


@attacks.register("lira-pipeline")
@dataclass(frozen=True, kw_only=True)
class LiraPipeline(Lira):
    """The same with shadows of the whole pipeline: half of the candidates in, teacher, defense, student, over again.

    The attacker knows the defense and can run it on images of its choice, as often as `shadows` says: that is the
    budget of reruns, and stands on the row. A shadow student learns from a shadow release as the attacked one did from
    the published one.
    """

    shadows: int = 8

    needs = Lira.needs | {Access.RERUN, Access.AUXILIARY}

    def shadow(
        self, view: View, student: StudentModel, candidates: Images, *, seed: int, device: torch.device
    ) -> Shadows:
        """Students of releases of halves of the candidates."""
        public = view.auxiliary()

        def released(images: Images, *, seed: int) -> Images:
            return view.rerun(images, public=public, seed=seed).images

        training = ShadowTraining(network=student.name, recipe=student.recipe, count=self.shadows)
        return training.train(candidates, seed=seed, device=device, released=released)
