"""Membership by quantile regression of a student's confidence (QMIA, Bertran et al., arXiv 2307.03694)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import gaussian_nll_loss, softplus

from leakbench.attacks.attack import attacks
from leakbench.attacks.guess import Scores
from leakbench.attacks.membership.lira import confidence
from leakbench.attacks.membership.model_attack import ModelAttack, OfTheTeacher, instead_of_model
from leakbench.attacks.membership.shadows import answers
from leakbench.attacks.view import Access, View
from leakbench.synth.images import Images
from leakbench.synth.networks.architectures import build
from leakbench.synth.networks.training import Recipe, augment, autocast, batches, predict
from leakbench.synth.ranges import Count, Positive
from leakbench.synth.seeds import derive_seed, seeded_rng

LEAST_SPREAD = 0.05
"""Of a confidence, in standard deviations of other people's: nothing is foreseen more closely."""


@attacks.register("qmia")
@dataclass(frozen=True, kw_only=True)
class Qmia(ModelAttack):
    """Is the student surer of a candidate than it is of other people's images that look like it?

    The attacker holds a student of the release, candidates and images of other people, and trains one network, no
    shadow: from an image and its label to the mean and the standard deviation of the student's confidence, log p_y -
    log sum_{c != y} p_c, as it is of people whom the student has not seen. A candidate's score is by how many
    deviations the student is surer than that. Success is telling members from non-members, above all the few for sure.

    Args:
        network: architecture of the regression.
        steps: of its training.
        batch_size: images a step.
        learning_rate: Adam's.

    Differs from the authors' code: their Gaussian variant alone, whose quantiles are all of one regression; trained by
    the likelihood; smaller, from scratch. Where students are trained on mirror images, confidences in both are
    averaged.
    """

    network: str = "resnet20"
    steps: Count = 1000
    batch_size: Count = 128
    learning_rate: Positive = 2e-3

    needs = frozenset({Access.MODEL, Access.CANDIDATES, Access.AUXILIARY})

    def run(self, view: View, *, seed: int, device: torch.device) -> Scores:
        """Learn what to expect, and see who exceeds it."""
        model, candidates, own = self.attacked(view), view.candidates(), view.auxiliary()

        def sure(images: Images) -> Tensor:
            said = answers(model.network, images, flip=model.recipe.flip, device=device)
            return confidence(said, images).mean(0)

        usual = sure(own)
        centre, scale = usual.mean(), usual.std().clamp_min(1e-6)
        regression = self._regression(own, ((usual - centre) / scale).float(), model.recipe, seed, device)
        expected, spread = foreseen(predict(regression, candidates.pixels, device=device), candidates.labels)
        return Scores(((sure(candidates) - centre) / scale - expected) / spread)

    def _regression(self, own: Images, sure: Tensor, recipe: Recipe, seed: int, device: torch.device) -> nn.Module:
        """A network from images to two numbers a class, trained on standardised confidences (N,)."""
        init, rng = derive_seed("qmia", seed), seeded_rng("qmia", seed, device=device)
        network = build(self.network, classes=2 * len(own.classes), side=own.side, seed=init).to(device).train()
        optimizer = torch.optim.Adam(network.parameters(), lr=self.learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)
        pixels, labels, wanted = own.pixels.to(device), own.labels.to(device), sure.to(device)
        for _, index in zip(range(self.steps), batches(len(pixels), self.batch_size, rng), strict=False):
            with autocast(device):
                said = network(augment(pixels[index], recipe, rng).float().div_(255))
            expected, spread = foreseen(said.float(), labels[index])
            loss = gaussian_nll_loss(expected, wanted[index], spread.square())
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
        return network.eval()


def foreseen(said: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """(N,) means and standard deviations for these labels, from outputs (N, 2 K)."""
    mean, spread = said.chunk(2, 1)
    own = labels[:, None]
    return mean.gather(1, own).squeeze(1), softplus(spread.gather(1, own).squeeze(1)) + LEAST_SPREAD


@attacks.register("qmia-teacher")
@dataclass(frozen=True, kw_only=True)
class QmiaTeacher(OfTheTeacher, Qmia):
    """The same of the teacher that was published beside the release."""

    needs = instead_of_model(Qmia.needs, Access.TEACHER)
