"""Twenty-six things that are done to a picture before it is released again."""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageOps

Picture = Image.Image
Change = Callable[[Picture, Picture], Picture]
"""Of a picture, and of somebody else's of the same size, which some need."""
BICUBIC = Image.Resampling.BICUBIC


def _crop(share: float) -> Change:
    def change(image: Picture, other: Picture) -> Picture:
        width, height = image.size
        wide, high = max(1, round(width * share)), max(1, round(height * share))
        left, top = (width - wide) // 3, (height - high) // 2
        return image.crop((left, top, left + wide, top + high)).resize(image.size, BICUBIC)

    return change


def _turn(degrees: float) -> Change:
    return lambda image, other: image.rotate(degrees, BICUBIC, expand=degrees == 90)


def _jpeg(quality: int) -> Change:
    def change(image: Picture, other: Picture) -> Picture:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        return Image.open(buffer).convert("RGB")

    return change


def _blur(radius: float) -> Change:
    return lambda image, other: image.filter(ImageFilter.GaussianBlur(radius))


def _values(change: Callable[[np.ndarray], np.ndarray]) -> Change:
    def changed(image: Picture, other: Picture) -> Picture:
        values = change(np.asarray(image).astype(np.float64))
        return Image.fromarray(values.clip(0, 255).round().astype(np.uint8))

    return changed


def _noise(values: np.ndarray) -> np.ndarray:
    return values + np.random.default_rng(0).normal(0, 20, values.shape)


def _half(image: Picture) -> tuple[int, int]:
    return max(1, image.width // 2), max(1, image.height // 2)


def _half_resolution(image: Picture, other: Picture) -> Picture:
    return image.resize(_half(image), BICUBIC).resize(image.size, BICUBIC)


def _squeeze(image: Picture, other: Picture) -> Picture:
    return image.resize((max(1, image.width * 3 // 4), image.height), BICUBIC)


def _stamp(image: Picture, other: Picture) -> Picture:
    stamped = image.copy()
    left, top = min(1, image.width - 1), image.height * 5 // 6
    box = (left, top, max(left, image.width * 2 // 5), max(top, image.height - 2))
    ImageDraw.Draw(stamped).rectangle(box, fill="white")
    return stamped


def _border(image: Picture, other: Picture) -> Picture:
    return ImageOps.expand(image, image.width // 8, "black").resize(image.size, BICUBIC)


def _paste(image: Picture, other: Picture) -> Picture:
    pasted = other.copy()
    pasted.paste(image.resize(_half(image), BICUBIC), (image.width // 3, image.height // 4))
    return pasted


def _paste_quarter(image: Picture, other: Picture) -> Picture:
    pasted, (width, height) = other.copy(), image.size
    wide, high = _half(image)
    inner = image.crop((width // 4, height // 4, width // 4 + wide, height // 4 + high))
    pasted.paste(inner, (width // 3, height // 4))
    return pasted


def _perspective(image: Picture, other: Picture) -> Picture:
    width, height = image.size
    corners = (width * 0.1, height * 0.05, 0, height * 0.95, width, height, width * 0.95, 0)
    return image.transform(image.size, Image.Transform.QUAD, corners, BICUBIC)


def _blend(share: float) -> Change:
    return lambda image, other: Image.blend(other, image, share)


CHANGES: dict[str, Change] = {
    "crop to 70 %": _crop(0.7),
    "crop to 50 %": _crop(0.5),
    "crop to 30 %": _crop(0.3),
    "turned by 3°": _turn(3),
    "turned by 15°": _turn(15),
    "turned by 90°": _turn(90),
    "flip": lambda image, other: ImageOps.mirror(image),
    "JPEG 75": _jpeg(75),
    "JPEG 30": _jpeg(30),
    "JPEG 10": _jpeg(10),
    "blur 1": _blur(1),
    "blur 3": _blur(3),
    "gray": lambda image, other: image.convert("L").convert("RGB"),
    "white balance": _values(lambda values: values * [1.2, 1, 0.8]),
    "half resolution": _half_resolution,
    "squeeze": _squeeze,
    "stamp": _stamp,
    "border": _border,
    "pasted at half size": _paste,
    "a quarter pasted": _paste_quarter,
    "perspective": _perspective,
    "noise of 20": _values(_noise),
    "brightness 1.5": _values(lambda values: values * 1.5),
    "negative": lambda image, other: ImageOps.invert(image),
    "blend of 70 %": _blend(0.7),
    "blend of 50 %": _blend(0.5),
}
