"""The two defenses that are controls: everything leaks, nothing leaks."""

from dataclasses import dataclass

import torch

from leakbench.synth.defense import Release, Resources, Synthesizer
from leakbench.synth.images import Images
from leakbench.synth.registry import defenses


@defenses.register("identity")
@dataclass(frozen=True, kw_only=True)
class Identity(Synthesizer):
    """No defense: the members are the release. Every attack must succeed on it."""

    shows_members = True

    def release(self, members: Images, resources: Resources) -> Release:
        """The members themselves."""
        return Release(members, sources=torch.arange(len(members))[:, None])


@defenses.register("disjoint")
@dataclass(frozen=True, kw_only=True)
class Disjoint(Synthesizer):
    """A release of other people's images. Nothing about the members can leak from it."""

    reads_public = True
    reads_public_labels = True

    def release(self, members: Images, resources: Resources) -> Release:
        """As many public images as there are members (or all, if there are fewer)."""
        return Release(resources.public.take(torch.arange(min(len(members), len(resources.public)))))
