"""Membership by likelihood ratios of a student's confidence (LiRA, Carlini et al., arXiv 2112.03570)."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from scipy.stats import norm
from scipy.stats import t as student_t
from torch import Tensor

from leakbench.attacks.attack import attacks
from leakbench.attacks.guess import Scores
from leakbench.attacks.membership.model_attack import ModelAttack, OfSoftLabels, OfTheTeacher, instead_of_model
from leakbench.attacks.membership.shadows import Shadows, ShadowTraining, answers, check_count
from leakbench.attacks.membership.shrinkage import shrunk
from leakbench.attacks.view import Access, PublishedModel, View
from leakbench.synth.images import Images

LEAST_SPREAD = 1e-6
"""Smallest standard deviation that is divided by."""


@attacks.register("lira")
@dataclass(frozen=True, kw_only=True)
class Lira(ModelAttack):
    """Is the student as sure of a candidate as networks are that were trained on it, or as those that were not?

    The attacker holds a student of the release, knows how it was trained, and holds candidates. It trains shadow
    students on random halves of the candidates' own images, and takes the attacked one for another of them: what the
    defense does in between it ignores (`lira-pipeline` does not). A candidate's score is the likelihood ratio of the
    attacked student's confidence, log p_y - log sum_{c != y} p_c, under two Gaussians fitted to the shadows'. Success
    is telling members from non-members, above all the few for sure.

    Args:
        mode: ``online``: shadows with the candidate against those without. ``offline``: how unlikely so high a
            confidence is among those without it (section 4.3: trained before the candidate is known).
        variance: ``shrunken``: each candidate's own, as far as shadows are enough to tell it from what is usual, and a
            Student t instead of a Gaussian (BaVarIA-t, arXiv 2603.11799). ``fixed``: one for all. ``per-example``: each
            candidate's own, for many shadows. Of 5,000 CIFAR-10 members, with 4 shadows, the true positive rate at
            0.1 % false positives is 1.8, 0.7 and 0.2 %, offline 2.0, 1.3 and 0.2 %; with 16, on another split, 5.1, 3.5
            and 1.4 %.
        shadows: networks, each trained on half of the candidates; even.

    Differs from the authors' code: the fixed variance is that about each candidate's own median, not about the
    mean of all; ``offline`` is one-sided, as in the paper. Medians stand for means, as in their code, but for
    ``shrunken``, whose prior is Smyth's (doi 10.2202/1544-6115.1027). Where students are trained on mirror images, both
    are asked, and the log-ratios averaged.
    """

    mode: Literal["online", "offline"] = "online"
    variance: Literal["shrunken", "fixed", "per-example"] = "shrunken"
    shadows: int = 16

    needs = frozenset({Access.MODEL, Access.CANDIDATES})

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("shadows", self.shadows, least=2 if self.variance == "fixed" else 4)

    def run(self, view: View, *, seed: int, device: torch.device) -> Scores:
        """Score every candidate."""
        student, candidates = self.attacked(view), view.candidates()
        shadows = self.shadow(view, student, candidates, seed=seed, device=device)
        seen = confidence(answers(student.network, candidates, flip=student.recipe.flip, device=device), candidates)
        known = confidence(shadows.answers, candidates)
        return Scores(self.ratio(seen, known, shadows.inside), notes={"shadow models": float(self.shadows)})

    def shadow(
        self, view: View, student: PublishedModel, candidates: Images, *, seed: int, device: torch.device
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
        without = self._fit(known, ~inside)
        if self.mode == "offline":
            return -without.log_tail(seen).mean(0)
        return (self._fit(known, inside).log_density(seen) - without.log_density(seen)).mean(0)

    def _fit(self, known: Tensor, who: Tensor) -> "_Fitted":
        """What is expected of a candidate's confidence by the shadows that `who` (S, N) marks."""
        marked = torch.where(who[:, None], known, torch.nan)
        if self.variance == "shrunken":
            return _shrunken(marked, int(who.sum(0).amin()))
        centre = marked.nanquantile(0.5, dim=0)
        squares = (marked - centre).square()
        if self.variance == "per-example":
            return _Fitted(centre, squares.nanmean(0).sqrt().clamp_min(LEAST_SPREAD))
        # A median of n values lies within them: their spread about it is too small by about (n - 1) / n.
        count = who.sum(0).double().mean()
        pooled = (squares.nanmean() * count / (count - 1).clamp_min(1)).sqrt().clamp_min(LEAST_SPREAD)
        return _Fitted(centre, pooled.expand_as(centre))


@dataclass(frozen=True)
class _Fitted:
    """A Student t for each query and candidate; a Gaussian where the degrees of freedom are infinite.

    Args:
        centre: (Q, N).
        spread: (Q, N) scales.
        freedom: degrees of freedom.
    """

    centre: Tensor
    spread: Tensor
    freedom: float = math.inf

    def log_density(self, seen: Tensor) -> Tensor:
        """(Q, N) of confidences (Q, N)."""
        apart = ((seen - self.centre) / self.spread).numpy()
        return torch.from_numpy(student_t.logpdf(apart, self.freedom)) - self.spread.log()

    def log_tail(self, seen: Tensor) -> Tensor:
        """(Q, N) log-probabilities of so high a confidence."""
        apart = ((seen - self.centre) / self.spread).numpy()
        if math.isinf(self.freedom):  # the t's own underflows where a Gaussian's is still a number
            return torch.from_numpy(norm.logsf(apart))
        return torch.from_numpy(student_t.logsf(apart, self.freedom))


def _shrunken(marked: Tensor, count: int) -> _Fitted:
    """From confidences (S, Q, N), NaN for shadows that do not count; `count` of them do, for every candidate."""
    centre = marked.nanmean(0)
    variances = (marked - centre).square().nansum(0) / (count - 1)
    held, freedom = shrunk(variances, count - 1)
    return _Fitted(centre, (held * (1 + 1 / count)).sqrt().clamp_min(LEAST_SPREAD), freedom)


def confidence(logits: Tensor, images: Images) -> Tensor:
    """(..., N) log p_y - log sum_{c != y} p_c of logits (..., N, K), in double precision."""
    logits = logits.double()
    chosen = torch.zeros(logits.shape[-2:], dtype=torch.bool).scatter_(1, images.labels[:, None], True)
    own = logits.where(chosen, -torch.inf).amax(-1)
    return own - logits.where(~chosen, -torch.inf).logsumexp(-1)


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
        self, view: View, student: PublishedModel, candidates: Images, *, seed: int, device: torch.device
    ) -> Shadows:
        """Students of releases of halves of the candidates."""
        public = view.auxiliary()

        def released(images: Images, *, seed: int) -> Images:
            return view.rerun(images, public=public, seed=seed).images

        training = ShadowTraining(network=student.name, recipe=student.recipe, count=self.shadows)
        return training.train(candidates, seed=seed, device=device, released=released)


@attacks.register("lira-soft")
@dataclass(frozen=True, kw_only=True)
class LiraSoft(OfSoftLabels, Lira):
    """The same where the student learned the release's soft labels; shadows learn candidates' hard ones."""

    needs = instead_of_model(Lira.needs, Access.SOFT_MODEL)


@attacks.register("lira-teacher")
@dataclass(frozen=True, kw_only=True)
class LiraTeacher(OfTheTeacher, Lira):
    """The same of the teacher that was published beside the release; shadows are trained as it was."""

    needs = instead_of_model(Lira.needs, Access.TEACHER)
