"""Private images that are released as they are or all but: re-encoded, turned, moved, cropped, made brighter."""

from dataclasses import dataclass
from functools import partial
from itertools import islice

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from leakbench.metrics.described import Described, turned
from leakbench.metrics.image import byte_ssim
from leakbench.metrics.neighbours import nearest
from leakbench.metrics.outstanding import BLURS, outstanding
from leakbench.metrics.shown import Box, Match, Shown

SSIM_WINDOW = 11
"""Smallest side of an image in pixels: the window of SSIM."""

NEAR_SSIM, NEAR_RMS = 0.95, 12.0
"""A released image that is more like a private one than this (the distance of 255) is a copy of it."""
CONTRAST = (0.5, 2.0)
"""Least and largest contrast of a copy, as a multiple of the original's."""
PLAIN = 16.0
"""Standard deviation of 255: of an image with less there is too little to say that it was moved or made brighter."""
ALIKE = 0.9
"""Correlation at the best shift, below which two images are not looked at any closer."""
BLANK = 8
"""Values of 255 between the darkest and the brightest of a picture with nothing in it, at most."""
UPRIGHT = 2
"""Ways in which images are turned that are looked for in full: as they are, and mirrored."""
SIDE, COARSE = 64, 16
"""Pixels a side, of what frequencies are taken of, and of what turned images are searched by."""


@dataclass(frozen=True)
class Copy:
    """A private image and the released one that is its copy.

    Args:
        private: position.
        released: position.
        exact: byte by byte, as it is or turned.
        why: what was done to it, and how alike they are.
        sure: 2 of an exact one; else SSIM, or below `NEAR_SSIM` the more the more local features agree.
        parts: what of the private picture is shown, and where in the released one: left, top, right and bottom, as
            shares; None where all is.
    """

    private: int
    released: int
    exact: bool
    why: str
    sure: float
    parts: tuple[Box, Box] | None = None


Found = dict[int, Copy]
"""The best copy of each private image."""


def find_copies(private: Described, released: Described, shown: Shown | None = None) -> list[Copy]:
    """The private pictures that have a copy among the released ones.

    Candidates are the nearest released views of each private one, and of its mirror image, in pixels, in pixels of
    equal brightness and contrast, and in the amplitudes of frequencies, which moving an image hardly changes. What is a
    copy is decided on the part that both show, with brightness and contrast made equal, by SSIM and the distance; or by
    how much nearer it is to one private picture than to any other (`outstanding`), as blurred ones are.
    Images that are turned or mirrored in other ways, negatives, and those with red and blue exchanged are looked for
    where they lie, in coarser pixels. Crops, rotations by any angle, squeezed, stamped and gray ones are found by their
    local features (`shown`), of which those that many private pictures have at the same place say nothing
    (`fixed_pattern`).

    Args:
        private: pictures.
        released: pictures, described by views of the same size and geometries.
        shown: in what parts are looked for: these pictures hidden among others; by default these alone.

    Returns:
        One copy for each of them, the most obvious ones first; exact ones before all. A blank picture is no copy of
        another.
    """
    found: Found = {}
    for geometry, view in private.views.items():
        _by_pixels(found, view, released.views[geometry])
    for match in (shown or released.shown).copies(private.points.distinctive):
        why = f"the same picture or a part of it{_transformed(match)}"
        # The more agree the likelier, and none is likelier than what SSIM found.
        sure = match.agree / (match.agree + 1) * NEAR_SSIM
        parts = match.ours_part, match.theirs_part
        _keep_best(found, [Copy(match.ours, match.theirs, False, why, sure, parts)])
    found |= {copy.private: copy for copy in _exact(private, released)}
    nothing = blank(private)
    return [copy for copy in sorted(found.values(), key=lambda copy: -copy.sure) if not nothing[copy.private]]


def _by_pixels(found: Found, private: Tensor, released: Tensor) -> None:
    for describe in (_same, _standardised, _amplitudes):
        seen = describe(released)
        for how, shown in islice(turned(private), UPRIGHT):
            position = nearest(describe(shown), seen).position
            _keep_best(found, _confirmed(shown, released, position, how, moved=True))
    for how, shown in islice(turned(private), UPRIGHT):
        _keep_best(found, _standing_out(shown, released, how))
    coarse = _coarse(released)
    for how, shown in islice(turned(private), UPRIGHT, None):
        _keep_best(found, _confirmed(shown, released, nearest(_coarse(shown), coarse).position, how, moved=False))


def _standing_out(shown: Tensor, released: Tensor, how: str) -> list[Copy]:
    copies = []
    for blur in BLURS:
        did = how + ", blurred" * (blur > 0)
        found = outstanding(shown, released, blur)
        for i, j, correlation, ratio in zip(*(column.tolist() for column in found), strict=True):
            times = 1 / max(ratio, 0.001)
            why = f"near copy{did}: correlation {correlation:.3f}, {times:.1f} times as near as to the next"
            copies.append(Copy(i, j, False, why, NEAR_SSIM * (1 - ratio)))
    return copies


def blank(pictures: Described) -> Tensor:
    """(N,) which pictures have nothing in them: black frames and white pages are in every folder, and are nobody's."""
    plain = torch.ones(len(pictures), dtype=torch.bool)
    for view in pictures.views.values():
        flat = view.flatten(2)
        plain &= ((flat.amax(2).int() - flat.amin(2).int()) <= BLANK).all(1)
    return plain


def _keep_best(found: Found, more: list[Copy]) -> None:
    for copy in more:
        if copy.private not in found or copy.sure > found[copy.private].sure:
            found[copy.private] = copy


def _exact(private: Described, released: Described) -> list[Copy]:
    """Byte by byte, by hash."""
    where = {ways[0]: j for j, ways in reversed(list(enumerate(released.digests)))}
    said = [how for how, _ in turned(torch.zeros(1, 3, 1, 1, dtype=torch.uint8))]
    copies = []
    for i, ways in enumerate(private.digests):
        hits = ((how, where[way]) for how, way in zip(said, ways, strict=True) if way in where)
        copies += [Copy(i, j, True, f"copy{how}", 2.0) for how, j in islice(hits, 1)]
    return copies


def _same(images: Tensor) -> Tensor:
    return images


def _standardised(images: Tensor) -> Tensor:
    """uint8, of equal mean and standard deviation."""

    def of(part: Tensor) -> Tensor:
        flat = part.float().flatten(1)
        around = flat - flat.mean(1, keepdim=True)
        scaled: Tensor = around / _spread(around, 1)
        return (scaled * 40 + 128).clamp(0, 255).round().to(torch.uint8).view_as(part)

    return torch.cat([of(part) for part in images.split(4096)])


def _spread(around: Tensor, over: int | tuple[int, int]) -> Tensor:
    """Standard deviations of what has the mean 0, at least 1."""
    return around.square().mean(over, keepdim=True).sqrt_().clamp_min_(1.0)


def _coarse(images: Tensor) -> Tensor:
    """The same of images made smaller."""
    small = [interpolate(p.float(), size=COARSE, mode="area").round().to(torch.uint8) for p in images.split(4096)]
    return _standardised(torch.cat(small))


def _gray(images: Tensor, side: int | None = None) -> Tensor:
    """(N, S, S) float32 of mean 0 and standard deviation 1, made smaller where they are larger than `side`."""
    gray = images.float().mean(1, keepdim=True)
    if side is not None and gray.shape[-1] > side:
        gray = interpolate(gray, size=side, mode="area")
    gray = gray.squeeze(1)
    gray = gray - gray.mean((1, 2), keepdim=True)
    scaled: Tensor = gray / _spread(gray, (1, 2))
    return scaled


def _amplitudes(images: Tensor) -> Tensor:
    """uint8 (N, 1, S, S / 2 + 1): logarithms of the amplitudes of an image's frequencies, its border faded out."""

    def of(part: Tensor) -> Tensor:
        gray = _gray(part, SIDE)
        window = torch.hann_window(gray.shape[-1], periodic=False)
        amplitude: Tensor = torch.fft.rfft2(gray * window[:, None] * window).abs()
        return (amplitude.log1p() * 40).clamp(0, 255).round().to(torch.uint8).unsqueeze(1)

    return torch.cat([of(part) for part in images.split(4096)])


def _confirmed(shown: Tensor, released: Tensor, position: Tensor, how: str, *, moved: bool) -> list[Copy]:
    """Those pairs of nearest images that are copies, with their SSIM: as they lie, and where they agree best."""
    found = []
    for part in torch.arange(len(shown)).split(_at_once(shown)):
        tried = [((0, 0), part)]
        if moved:
            tried += _shifted(part, *_registered(shown[part], released[position[part]]))
        for (down, right), who in tried:
            ours, theirs = _overlap(shown[who], released[position[who]], down, right)
            matched, contrast, brightness = _equalised(ours, theirs)
            apart = (matched.float() - theirs.float()).square().flatten(1).mean(1).sqrt()
            near = (apart <= NEAR_RMS).nonzero().squeeze(1)
            alike = byte_ssim(matched[near], theirs[near])
            for k, likeness in zip(near.tolist(), alike.tolist(), strict=True):
                if likeness >= NEAR_SSIM:
                    did = _words(how, down, right, contrast[k].item(), brightness[k].item())
                    why = f"near copy{did}: SSIM {likeness:.3f}, {apart[k]:.1f} of 255 apart"
                    i = int(who[k])
                    found.append(Copy(i, int(position[i]), False, why, likeness))
    return found


def _shifted(part: Tensor, shift: Tensor, correlation: Tensor) -> list[tuple[tuple[int, int], Tensor]]:
    """Each shift at which some images agree, with their positions."""
    moved = (correlation >= ALIKE) & shift.any(1)
    shifts = shift[moved].unique(dim=0).tolist()
    return [((y, x), part[moved & (shift == torch.tensor([y, x])).all(1)]) for y, x in shifts]


def _at_once(images: Tensor) -> int:
    """Images whose correlations fit the memory."""
    return max(1, 4096 * 32**2 // images.shape[-1] ** 2)


def _registered(ours: Tensor, theirs: Tensor) -> tuple[Tensor, Tensor]:
    """How far the second image is moved against the first, (N, 2) pixels down and right, and their correlation then.

    The correlation of what both show, for all shifts at once (masked normalised cross-correlation, Padfield 2012,
    doi 10.1109/TIP.2011.2181402).
    """
    a, b = _gray(ours), _gray(theirs)
    side, reach = a.shape[-1], _reach(a.shape[-1])
    shifts = torch.arange(-reach, reach + 1)
    spectrum = partial(torch.fft.rfft2, s=(2 * side,) * 2)

    def correlated(x: Tensor, y: Tensor) -> Tensor:
        """Sums of products of what lies at a place in the first and, moved, in the second, from their spectra."""
        sums: Tensor = torch.fft.irfft2(x.conj() * y, s=(2 * side,) * 2)
        return sums[:, shifts % (2 * side)][:, :, shifts % (2 * side)]

    everywhere, in_a, in_b = spectrum(torch.ones(1, side, side)), spectrum(a), spectrum(b)
    count = (side - shifts.abs())[:, None] * (side - shifts.abs())
    sum_a, sum_b = correlated(in_a, everywhere), correlated(everywhere, in_b)
    spread_a = correlated(spectrum(a.square()), everywhere) - sum_a.square() / count
    spread_b = correlated(everywhere, spectrum(b.square())) - sum_b.square() / count
    together = correlated(in_a, in_b) - sum_a * sum_b / count
    best = (together / (spread_a * spread_b).clamp_min(1.0).sqrt()).flatten(1).max(1)
    shift = torch.stack([best.indices // len(shifts), best.indices % len(shifts)], 1) - reach
    return shift, best.values


def _reach(side: int) -> int:
    """The farthest shift: SSIM needs a window of what both show."""
    return min(side // 4, side - SSIM_WINDOW)


def _overlap(ours: Tensor, theirs: Tensor, down: int, right: int) -> tuple[Tensor, Tensor]:
    """What both show, where the second is moved down and right."""
    height, width = ours.shape[-2:]

    def cut(images: Tensor, y: int, x: int) -> Tensor:
        return images[:, :, max(0, y) : height + min(0, y), max(0, x) : width + min(0, x)]

    return cut(ours, -down, -right), cut(theirs, down, right)


def _equalised(ours: Tensor, theirs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The first images with the second ones' contrast and brightness (least squares), and both; of flat ones as is."""
    x, y = ours.float().flatten(1), theirs.float().flatten(1)
    around = x - x.mean(1, keepdim=True)
    spread = around.square().mean(1)
    slope = (around * y).mean(1) / spread.clamp_min(1.0)
    plain = (spread < PLAIN**2) | (slope < CONTRAST[0]) | (slope > CONTRAST[1])
    slope = slope.where(~plain, torch.ones_like(slope))
    offset = (y.mean(1) - slope * x.mean(1)).where(~plain, torch.zeros_like(slope))
    matched = (x * slope[:, None] + offset[:, None]).clamp(0, 255).round().to(torch.uint8)
    return matched.view_as(ours), slope, offset


def _transformed(match: Match) -> str:
    """What was done to a picture, as far as an affine map tells."""
    did = [", mirrored"] * match.mirrored
    did += [f", scaled by {match.scale:.2f}"] * (abs(match.scale - 1) > 0.03)
    did += [f", turned by {match.angle:.0f} degrees"] * (abs(match.angle) > 1)
    return "".join(did) + f": {match.agree} local features agree"


def _words(how: str, down: int, right: int, contrast: float, brightness: float) -> str:
    """What was done to an image."""
    did = [how, *[f", moved by {right}, {down} pixels"] * bool(down or right)]
    if abs(contrast - 1) > 0.05 or abs(brightness) > 5:
        did.append(f", contrast x{contrast:.2f}, brightness {brightness:+.0f}")
    return "".join(did)
