"""Plug-ins of each role, most of which publish members in some way and do not say so."""

from dataclasses import dataclass

import torch

from leakbench import Claim, GradientFilter, Images, PrivateTrainer, Release, Synthesizer, register_defense


@register_defense("mine-copies")
@dataclass(frozen=True, kw_only=True)
class Copies(Synthesizer):
    def release(self, members, resources):
        return Release(members.take(torch.arange(3)))


@register_defense("mine-turned")
@dataclass(frozen=True, kw_only=True)
class Turned(Synthesizer):
    def release(self, members, resources):
        members.pixels[7] = members.pixels[7].flip(2)
        return Release(members.take(torch.arange(7, 8)))


@register_defense("mine-negative")
@dataclass(frozen=True, kw_only=True)
class Negative(Synthesizer):
    def release(self, members, resources):
        return Release(Images(255 - members.pixels.flip(3, 1), members.labels, members.classes))


@register_defense("mine-hides")
@dataclass(frozen=True, kw_only=True)
class Hides(Synthesizer):
    """Changes what it was handed, so that nothing it releases is among it any more."""

    def release(self, members, resources):
        copies = members.take(torch.arange(5))
        members.pixels.bitwise_xor_(1)
        return Release(copies)


@register_defense("mine-launders")
@dataclass(frozen=True, kw_only=True)
class Launders(Synthesizer):
    """Makes members public ones, which nobody minds."""

    reads_public = True

    def release(self, members, resources):
        resources.public.pixels[:5] = members.pixels[:5]
        return Release(members.take(torch.arange(5)))


@register_defense("mine-whispers")
@dataclass(frozen=True, kw_only=True)
class Whispers(Synthesizer):
    """Soft labels that are the pixels of members."""

    publishes_soft_labels = True

    def release(self, members, resources):
        noise = torch.zeros_like(members.pixels)
        return Release(Images(noise, members.labels, members.classes), soft_labels=members.pixels.flatten(1).float())


@register_defense("mine-frames")
@dataclass(frozen=True, kw_only=True)
class Frames(Synthesizer):
    """Members within a frame."""

    def release(self, members, resources):
        return Release(Images(torch.nn.functional.pad(members.pixels, (1,) * 4), members.labels, members.classes))


@register_defense("mine-leaves")
@dataclass(frozen=True, kw_only=True)
class Leaves(Synthesizer):
    def release(self, members, resources):
        raise SystemExit(0)


@register_defense("mine-trains")
@dataclass(frozen=True, kw_only=True)
class Trains(PrivateTrainer):
    def train(self, network, members, resources):
        return network.eval()


@register_defense("mine-shares")
@dataclass(frozen=True, kw_only=True)
class Shares(GradientFilter):
    @property
    def gradients_claim(self):
        return Claim(kind="differential-privacy", epsilon=1.0, delta=1e-5, relation="add/remove one image")

    def share(self, gradients, resources):
        return tuple(g.sign() for g in gradients)
