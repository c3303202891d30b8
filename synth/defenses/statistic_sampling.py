"""Statistics drawn from a model of private images' statistics, then inverted: no released image is anybody's."""

from dataclasses import dataclass

import torch
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from torch import Tensor

from leakbench.synth.defense import Release, Resources
from leakbench.synth.defenses.inversion import Inversion, frozen
from leakbench.synth.defenses.matching import by_layer, matching
from leakbench.synth.images import Images
from leakbench.synth.networks.statistics import LEAST_VARIANCE, from_vectors, image_moments, to_vectors
from leakbench.synth.networks.training import predict
from leakbench.synth.ranges import Count, Positive, Share
from leakbench.synth.registry import defenses
from leakbench.synth.seeds import seeded_rng


@defenses.register("statistic-sampling")
@dataclass(frozen=True, kw_only=True)
class StatisticSampling(Inversion):
    """A class-wise model of per-image batch-norm statistics is fitted, sampled, and what it gives is inverted.

    Every member's vector of batch-norm input means and log-variances is taken on the teacher. Per class, a Gaussian or
    a mixture of them is fitted in the leading principal components. Each released image gets a vector of its own, drawn
    from the model, and is optimised from noise until it has those statistics: the diversity of single images, without
    anybody's fingerprint. No guarantee: only a mean and a covariance per class leave the private data, but without
    noise.

    Args:
        num_images: how many to release; need not be as many as members.
        components: principal components of the model, of all classes together.
        mixture: Gaussians per class.
        shrinkage: of covariances towards their diagonal, in [0, 1].
        temperature: of the standard deviations that are drawn from; below 1 is nearer to the mean.

    The other parameters are those of `inversion.Inversion`.

    Raises:
        ValueError: a parameter is out of range, the teacher is missing, or a class has fewer images than Gaussians.
    """

    num_images: Count = 1000
    components: Count = 64
    mixture: Count = 1
    shrinkage: Share = 0.0
    temperature: Positive = 1.0

    def release(self, members: Images, resources: Resources) -> Release:
        """Fit, sample, invert."""
        teacher, seed, device = resources.teacher, resources.seed, resources.device
        rng = seeded_rng("statistic-sampling", seed, device=device)
        present = members.labels.unique()
        labels = present[torch.arange(self.num_images) % len(present)]
        with frozen(teacher.to(device)):
            drawn = self._sampled(image_moments(teacher, members.pixels, device=device), members.labels, labels, seed)
            parts = zip(drawn.split(self.batch_size), labels.split(self.batch_size), strict=True)
            shape, gray = members.pixels.shape[1:], members.is_gray
            pixels = [
                self.invert(
                    [matching(teacher, by_layer(part.to(device), teacher), torch.eye(len(part)).to(device))],
                    whose,
                    shape,
                    rng,
                    gray=gray,
                )
                for part, whose in parts
            ]
            images = Images(torch.cat(pixels), labels, members.classes)
            soft = predict(teacher, images.pixels, device=device).softmax(1) if self.soft_labels else None
        return Release(images, soft_labels=soft)

    def _sampled(self, moments: Tensor, classes: Tensor, labels: Tensor, seed: int) -> Tensor:
        """(N, 2 channels) means and variances for images of these labels."""
        vectors = to_vectors(moments)
        centre, scale = vectors.mean(0), vectors.std(0).clamp_min(LEAST_VARIANCE)
        standard = (vectors - centre) / scale
        basis = PCA(n_components=min(self.components, *standard.shape), svd_solver="covariance_eigh").fit(standard)
        seen = torch.from_numpy(basis.transform(standard.numpy()))
        rng = seeded_rng("statistics", seed)
        drawn = torch.empty(len(labels), seen.shape[1], dtype=seen.dtype)
        for label in labels.unique():
            who = labels == label
            drawn[who] = self._drawn(seen[classes == label], int(who.sum()), rng)
        restored = torch.from_numpy(basis.inverse_transform(drawn.numpy())) * scale + centre
        return from_vectors(restored).float()

    def _drawn(self, vectors: Tensor, count: int, rng: torch.Generator) -> Tensor:
        """(count, J) from the model of one class's (N, J) vectors."""
        if len(vectors) < self.mixture:
            raise ValueError(f"statistic-sampling.mixture={self.mixture} needs as many images of every class")
        state = int(torch.randint(2**31, (), generator=rng))
        model = GaussianMixture(self.mixture, reg_covar=LEAST_VARIANCE, random_state=state).fit(vectors.numpy())
        which = torch.multinomial(torch.from_numpy(model.weights_), count, replacement=True, generator=rng)
        covariances = torch.from_numpy(model.covariances_)
        diagonal = torch.diag_embed(covariances.diagonal(dim1=1, dim2=2))
        roots = torch.linalg.cholesky(torch.lerp(covariances, diagonal, self.shrinkage))
        noise = torch.randn(count, vectors.shape[1], 1, generator=rng, dtype=vectors.dtype)
        spread = self.temperature * (roots[which] @ noise).squeeze(2)
        centres: Tensor = torch.from_numpy(model.means_)[which]
        return centres.add(spread)
