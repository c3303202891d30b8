"""A few real images: what any synthetic release must beat."""

from dataclasses import dataclass

from leakbench.synth.defense import Release, Resources, Synthesizer
from leakbench.synth.images import Images, round_robin_by_class
from leakbench.synth.ranges import Count
from leakbench.synth.registry import defenses
from leakbench.synth.seeds import seeded_rng


@defenses.register("subset")
@dataclass(frozen=True, kw_only=True)
class Subset(Synthesizer):
    """Some of the members as they are, the classes in turn: gives away whom it shows, and nobody else.

    Args:
        num_images: how many; all, if there are fewer.

    Raises:
        ValueError: fewer than one.
    """

    num_images: Count = 1000
    shows_members = True

    def release(self, members: Images, resources: Resources) -> Release:
        """The members that were drawn."""
        chosen = round_robin_by_class(members.labels, seeded_rng("subset", resources.seed))[: self.num_images]
        return Release(members.take(chosen), sources=chosen[:, None])
