"""Canaries: images put in to be found again, for a lower bound on a defense's epsilon."""

from dataclasses import dataclass, replace
from typing import Annotated, Literal

import torch
from annotated_types import Ge
from torch import Tensor

from leakbench.attacks.attack import Attack, attacks
from leakbench.attacks.guess import Canaries
from leakbench.attacks.membership.lira import Lira, confidence
from leakbench.attacks.membership.shadows import answers, check_count, halves
from leakbench.attacks.membership.teacher import TeacherTraining
from leakbench.attacks.view import Access, View
from leakbench.metrics.neighbours import nearest
from leakbench.synth.images import Images, concatenate
from leakbench.synth.seeds import derive_seed, seeded_rng


@dataclass(frozen=True, kw_only=True)
class _Audit(Attack):
    """What canaries are, and how they are looked for."""

    kind: Literal["natural", "mislabelled", "crafted"] = "crafted"
    look: Literal["student", "release"] = "student"
    num_images: Annotated[int, Ge(0)] = 1000

    family = "membership"
    needs = frozenset({Access.RERUN, Access.AUXILIARY, Access.MODEL})
    goal = "canaries"

    def drawn(self, own: Images, count: int, seed: int) -> tuple[Images, Images, Images]:
        """Canaries, the attacker's images that go in beside them, and others that stand for public ones."""
        rng = seeded_rng("canaries", seed)
        own = own.take(torch.randperm(len(own), generator=rng))
        spent = 0 if self.kind == "crafted" else count
        if spent >= len(own):
            raise ValueError(f"{count} {self.kind} canaries need more auxiliary images than {len(own)}; ask for fewer")
        rest = torch.arange(spent, len(own))
        kept = min(self.num_images, len(rest) // 2)
        canaries = self._canaries(own.take(torch.arange(count) % len(own)), rng)
        return canaries, own.take(rest[:kept]), own.take(rest[kept:])

    def _canaries(self, taken: Images, rng: torch.Generator) -> Images:
        classes = len(taken.classes)
        if self.kind == "mislabelled":
            shift = torch.randint(1, max(2, classes), taken.labels.shape, generator=rng)
            return replace(taken, labels=(taken.labels + shift) % classes)
        if self.kind == "crafted":
            pixels = 255 * torch.randint(0, 2, taken.pixels.shape, generator=rng, dtype=torch.uint8)
            return replace(taken, pixels=pixels, labels=torch.randint(0, classes, taken.labels.shape, generator=rng))
        return taken

    def scores(
        self, view: View, members: Images, public: Images, canaries: Images, seed: int, device: torch.device
    ) -> Tensor:
        """(C,) how much each canary looks as if it had been among the members."""
        made = view.rerun(members, public=public, seed=derive_seed("canaries", seed)).images
        if self.look == "release":
            shown = (canaries.pixels, canaries.pixels.flip(3))
            return -torch.stack([nearest(pixels, made.pixels).squared_distance for pixels in shown]).amin(0).double()
        attacked = view.model()
        training = TeacherTraining(network=attacked.name, recipe=attacked.recipe)
        student = training.train(made, seed=derive_seed("student", seed), device=device)
        return confidence(answers(student, canaries, flip=attacked.recipe.flip, device=device), canaries).mean(0)


@attacks.register("canaries")
@dataclass(frozen=True, kw_only=True)
class CanariesOnce(_Audit):
    """Which of two images went in? Asked of the defense itself, of many pairs in one run of it.

    The attacker may run the defense, and train a student as the attacked one was, on images of its choice: its own, and
    one of each of many pairs of canaries, by the toss of a coin. Success is to say for each pair which of the two went
    in; a lower bound on the epsilon of replacing an image follows (arXiv 2305.08846). It says nothing of the members of
    a given release, but of what its defense would do to such images.

    With shadows it is the worst case that Aerni et al. ask for (arXiv 2404.17399): a mislabelled image is what a
    student has to remember, and the likelihood ratio of LiRA says whether it does. Of average members it says nothing.

    Args:
        kind: ``natural``: the attacker's images as they are. ``mislabelled``: with a wrong label. ``crafted``: every
            channel of every pixel at random black or white, with a random label: unlike anything else.
        look: ``student``: the confidence of a student of the release in the canary's label. ``release``: how near the
            nearest released image is, mirrored or not.
        num_images: of the attacker's own that go in beside them; half of what there is, if that is less: the other half
            stands for public images.
        canaries: pairs; half of them choose how many are guessed, the other half is reported.
        shadows: more runs of the defense, each on a random half of all canaries, against which confidences are held as
            in ``lira``; even, 4 or more, or none. For students alone.
    """

    canaries: Annotated[int, Ge(4)] = 100
    shadows: Annotated[int, Ge(0)] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shadows:
            check_count("shadows", self.shadows, least=4)
        if self.shadows and self.look == "release":
            raise ValueError('shadows are of students; with look = "release" ask for none')

    def run(self, view: View, *, seed: int, device: torch.device) -> Canaries:
        """Put one of each pair in, run the defense once, and score all."""
        canaries, others, public = self.drawn(view.auxiliary(), 2 * self.canaries, seed)
        pairs = torch.arange(2 * self.canaries).view(2, -1)
        coin = torch.rand(self.canaries, generator=seeded_rng("coin", seed)) < 0.5
        inside, outside = torch.where(coin, pairs, pairs.flip(0))
        scores = self.scores(view, concatenate(others, canaries.take(inside)), public, canaries, seed, device)
        if self.shadows:
            scores = self._ratios(scores, view, others, public, canaries, seed, device)
        return Canaries(scores[inside], scores[outside], reruns=1, notes={"reruns": 1.0 + self.shadows})

    def _ratios(
        self,
        seen: Tensor,
        view: View,
        others: Images,
        public: Images,
        canaries: Images,
        seed: int,
        device: torch.device,
    ) -> Tensor:
        """(C,) log-likelihood ratios of confidences (C,) under those of shadows with the canary and without it."""
        went_in, known = halves(self.shadows, len(canaries), derive_seed("shadows", seed)), []
        for index, who in enumerate(went_in):
            crowd = concatenate(others, canaries.take(who.nonzero().squeeze(1)))
            known.append(self.scores(view, crowd, public, canaries, derive_seed("shadow", seed, index), device))
        return Lira(shadows=self.shadows).ratio(seen[None], torch.stack(known)[:, None], went_in)


@attacks.register("canary-reruns")
@dataclass(frozen=True, kw_only=True)
class CanaryReruns(_Audit):
    """Was this image in? Asked of the defense itself, once in each of many runs.

    The attacker of ``canaries``, with one canary, that goes in in half of the runs. Success is to say of each run
    whether it was in; the bound is on the epsilon of adding or removing an image, by betting on one run after another
    (arXiv 2509.07055), beside the one from both error rates (arXiv 2101.04535). It takes hundreds of runs to say much,
    and assumes nothing but that they are independent.

    Args:
        kind: as for ``canaries``.
        look: likewise.
        num_images: likewise.
        reruns: runs of the defense; even.
    """

    reruns: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reruns < 8 or self.reruns % 2:
            raise ValueError(f"reruns must be even and >= 8, got {self.reruns}")

    def run(self, view: View, *, seed: int, device: torch.device) -> Canaries:
        """Run the defense again and again, with the canary and without it."""
        canary, others, public = self.drawn(view.auxiliary(), 1, seed)
        crowd = {True: concatenate(others, canary), False: others}
        went_in = torch.randperm(self.reruns, generator=seeded_rng("coin", seed)) % 2 == 1
        runs = enumerate(went_in.tolist())
        scores = torch.cat(
            [self.scores(view, crowd[was_in], public, canary, derive_seed(seed, run), device) for run, was_in in runs]
        )
        notes = {"reruns": float(self.reruns)}
        return Canaries(scores[went_in], scores[~went_in], reruns=self.reruns, notes=notes)
