"""Image files from anywhere to uint8 RGB arrays: upright, of 8 bits, whatever they were saved as."""

import importlib
import io
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

T = TypeVar("T")
HEIF = (".heic", ".heif")
DICOM = (".dcm", ".dicom")
DEPTHS = (8, 10, 12, 14, 16)


class DataProblems(ValueError):
    """Everything that is wrong with a dataset, as one sentence each.

    Args:
        problems: the sentences; each names the file or folder, or the option.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


class Unreadable(Exception):
    """Why a file is no picture: a sentence without its subject."""


def depth(largest: int) -> int:
    """The bits that a largest value takes, of 8, 10, 12, 14 and 16: scanners of 12 bits write 16."""
    return next((bits for bits in DEPTHS if largest < 1 << bits), DEPTHS[-1])


def to_rgb(image: Image.Image, bits: int | None = None) -> Image.Image:
    """Any PIL image as upright 8-bit RGB: EXIF rotation applied, deep ones scaled, transparency laid over white.

    Args:
        image: of any mode.
        bits: that a 16-bit image's values take; None for as many as its largest value does.

    Raises:
        Unreadable: the mode is one whose scale is not known (floating point).
    """
    image = _upright(image)
    if image.mode.startswith("I"):  # 16-bit gray; PIL's own conversion clips instead of scaling
        wide = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        largest = (1 << (bits or depth(int(wide.max(initial=0))))) - 1
        return Image.fromarray(np.minimum(wide * 255 // largest, 255).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise Unreadable("has floating-point pixels, which have no known range; save it as 8-bit")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def _upright(image: Image.Image) -> Image.Image:
    """The image turned as its EXIF says; as it is where that is broken: the pixels are not."""
    try:
        return ImageOps.exif_transpose(image)
    except (struct.error, SyntaxError, OverflowError):
        return image


def encoded(content: bytes, name: str) -> Image.Image:
    """The picture that an encoded file holds; its pixels are decoded when they are asked for.

    Args:
        content: of the file.
        name: of the file: what it ends with tells DICOM and HEIF.

    Raises:
        Unreadable: it is none.
    """
    if not content:
        raise Unreadable("is empty (0 bytes)")
    suffix = Path(name).suffix.lower()
    if suffix in DICOM or content[128:132] == b"DICM":
        return _dicom(content)
    if suffix in HEIF:
        _extra("pillow_heif", "is HEIF, which pillow-heif reads: pip install 'leakbench[heif]'").register_heif_opener()
    image = Image.open(io.BytesIO(content))
    if Image.MAX_IMAGE_PIXELS and image.width * image.height > Image.MAX_IMAGE_PIXELS:
        raise Unreadable(
            f"claims {image.width} x {image.height} pixels: a decompression bomb, or give a larger --max-pixels"
        )
    # A telephone's photograph may have its preview behind it (MPO); what is shown is the first.
    if (frames := getattr(image, "n_frames", 1)) > 1 and image.format != "MPO":
        raise Unreadable(f"has {frames} frames; save each as a file of its own")
    return image


def _extra(module: str, missing: str) -> Any:
    """A module that not everybody has installed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise Unreadable(missing) from error


def _dicom(content: bytes) -> Image.Image:
    """A DICOM file's picture, through its own window and level, black where little of what is measured is."""
    pydicom = _extra("pydicom", "is DICOM, which pydicom reads: pip install 'leakbench[dicom]'")
    pixels = importlib.import_module("pydicom.pixels")
    try:
        data = pydicom.dcmread(io.BytesIO(content))
        stored = data.pixel_array
    except (pydicom.errors.InvalidDicomError, AttributeError, RuntimeError, NotImplementedError) as error:
        raise Unreadable(f"cannot be decoded as DICOM ({error})") from error
    if int(data.get("NumberOfFrames", 1)) > 1:
        raise Unreadable(f"has {data.NumberOfFrames} frames; save each as a file of its own")
    if stored.ndim == 3:
        return Image.fromarray(stored.astype(np.uint8))
    values = pixels.apply_voi_lut(pixels.apply_modality_lut(stored, data), data).astype(np.float64)
    low, high = values.min(), values.max()
    if data.get("WindowWidth") is not None:
        low, high = _window(data)
    scaled = np.clip((values - low) / max(high - low, 1e-9), 0, 1) * 255
    negative = data.get("PhotometricInterpretation") == "MONOCHROME1"
    return Image.fromarray((255 - scaled if negative else scaled).round().astype(np.uint8))


def _window(data: Any) -> tuple[float, float]:
    """What pydicom's windowing maps values to: all that the stored bits can say, after the modality's scale."""
    bits, signed = int(data.BitsStored), bool(data.PixelRepresentation)
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    slope, shift = float(data.get("RescaleSlope", 1)), float(data.get("RescaleIntercept", 0))
    return low * slope + shift, high * slope + shift


def decode(opened: Callable[[], Image.Image], bits: int | None = None) -> NDArray[np.uint8] | str:
    """One picture as (H, W, 3) uint8, or a sentence (without its name) on why it cannot be read.

    Args:
        opened: what opens it.
        bits: as in :func:`to_rgb`.
    """
    found = attempt(lambda: np.asarray(to_rgb(opened(), bits)))
    return found if isinstance(found, str) else np.ascontiguousarray(found)


def attempt(read: Callable[[], T]) -> T | str:
    """What is read from a picture, or a sentence (without its name) on why it cannot be."""
    try:
        return read()
    except Unreadable as error:
        return str(error)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return "is a decompression bomb, or give a larger --max-pixels"
    except UnidentifiedImageError:
        return "is not an image"
    except (OSError, SyntaxError, ValueError, struct.error) as error:
        return f"cannot be decoded, it is truncated or damaged ({error})"
