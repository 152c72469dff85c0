"""Pictures in and out: any file that Pillow opens to 8-bit RGB, and RGB to a file by its extension."""

from __future__ import annotations

import io
import math
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from .errors import InputError, LimitError

__all__ = ["FORMATS", "Picture", "decode_picture", "encode_picture", "format_of", "psnr", "to_rgb"]

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".avif": "AVIF"}
SAVE_OPTIONS: dict[str, dict[str, int | bool]] = {
    "PNG": {"optimize": True},
    "JPEG": {"quality": 95},
    "WEBP": {"lossless": True},
    "AVIF": {"quality": 90},
}


@dataclass(frozen=True)
class Picture:
    """An RGB picture and what had to be said about its conversion."""

    image: Image.Image
    notices: tuple[str, ...] = ()


def decode_picture(data: bytes) -> Picture:
    """The first frame of a picture file, upright, as 8-bit RGB.

    Raises:
        InputError: not a picture that Pillow opens. LimitError: too large for Pillow's own limit.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data))
            image.load()
    except Image.DecompressionBombError as error:
        raise LimitError("the picture has too many pixels") from error
    except UnidentifiedImageError as error:
        raise InputError("the input is not a picture of a known format") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise InputError(f"the picture is damaged: {error}") from error
    frames = getattr(image, "n_frames", 1)
    picture = to_rgb(ImageOps.exif_transpose(image))
    notice = (f"only the first of {frames} frames is encoded",) if frames > 1 else ()
    return Picture(picture.image, notice + picture.notices)


def to_rgb(image: Image.Image) -> Picture:
    """Any mode of Pillow to 8-bit RGB: wide samples scaled down, transparency laid on white."""
    mode = image.mode
    if mode == "RGB" and "transparency" not in image.info:
        return Picture(image)
    if mode == "I" or mode.startswith("I;16"):
        samples = np.asarray(image).astype(np.float64)
        scale = 257 if mode != "I" or samples.max() > 255 else 1
        grey = np.clip(np.rint(samples / scale), 0, 255).astype(np.uint8)
        return Picture(Image.fromarray(grey).convert("RGB"), (f"{mode} samples were reduced to 8 bits",))
    if mode == "F":
        samples = np.nan_to_num(np.asarray(image).astype(np.float64))
        scale = 255 if samples.max() <= 1 else 1
        grey = np.clip(np.rint(samples * scale), 0, 255).astype(np.uint8)
        return Picture(Image.fromarray(grey).convert("RGB"), ("floating-point samples were reduced to 8 bits",))
    if mode in ("La", "RGBa"):  # premultiplied
        image = image.convert(mode.upper())
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        notices = ("transparency was laid on white",) if layer.getchannel("A").getextrema() != (255, 255) else ()
        return Picture(Image.alpha_composite(white, layer).convert("RGB"), notices)
    return Picture(image.convert("RGB"))


def format_of(path: Path) -> str:
    """Pillow's name of the format of an output file.

    Raises:
        InputError: the extension is not of a format that is written.
    """
    name = FORMATS.get(path.suffix.lower())
    if name is None:
        raise InputError(f"a picture is written as {', '.join(FORMATS)}, not {path.suffix or path.name!r}")
    return name


def encode_picture(image: Image.Image, format_name: str = "PNG") -> bytes:
    """A picture's file: PNG and WebP without loss, JPEG and AVIF at high quality."""
    buffer = io.BytesIO()
    try:
        image.save(buffer, format_name, **SAVE_OPTIONS[format_name])
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"the picture cannot be written as {format_name}: {error}") from error
    return buffer.getvalue()


def psnr(reference: Image.Image, picture: Image.Image) -> float:
    """Peak signal-to-noise ratio of two RGB pictures of one size, in dB; infinite if they are equal."""
    a, b = (np.asarray(each, dtype=np.float64) for each in (reference, picture))
    mse = float(np.square(a - b).mean())
    return math.inf if mse == 0 else 10 * math.log10(255**2 / mse)
