"""Images in and out: any file that Pillow opens to 8-bit sRGB, and sRGB to a file by its extension.

    bytes ─► open: size and format alone, checked ─► load ─► upright ─► 8 bits ─► sRGB ─► on white ─► RGB

Input files are untrusted. The size is compared with the limit before memory is allocated. Every exception of Pillow
becomes one error. Formats whose reader starts another program are refused.
"""

from __future__ import annotations

import io
import math
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from .bits.container import MAX_PIXELS, MAX_SIDE
from .colour import srgb_profile, to_srgb
from .errors import InputError, LimitError, MiscError

__all__ = [
    "FORMATS",
    "InputImage",
    "check_image",
    "decode_image",
    "encode_image",
    "format_of",
    "psnr",
    "to_rgb",
    "upright",
]

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".avif": "AVIF"}
SAVE_OPTIONS: dict[str, dict[str, int | bool]] = {
    "PNG": {"optimize": True},
    "JPEG": {"quality": 95},
    "WEBP": {"lossless": True},
    "AVIF": {"quality": 90},
}
LONGEST = {"JPEG": 65_500, "WEBP": 16_383}  # longest side that an encoder takes, in pixels
REFUSED = ("BUFR", "EPS", "FPX", "GRIB", "HDF5", "MIC", "MISC", "MPEG", "WMF")  # they run programs, or have no reader
GLARE = 16  # up to it, the largest float is a highlight of an image whose white is 1
ONE_LIMIT = threading.Lock()  # Pillow has one limit for all threads
BAND = 1 << 22  # number of samples that are reduced to 8 bits at a time


@dataclass(frozen=True)
class InputImage:
    """An RGB image and notices about its conversion."""

    image: Image.Image
    notices: tuple[str, ...] = ()


def decode_image(data: bytes, max_pixels: int = MAX_PIXELS) -> InputImage:
    """The first frame of an image file, upright, as 8-bit sRGB.

    Args:
        data: of the file.
        max_pixels: the largest image that is decoded.

    Raises:
        InputError: not an image that Pillow opens, or damaged.
        LimitError: it has too many pixels.
    """
    check_size(webp_size(data), max_pixels)
    Image.init()
    formats = [name for name in Image.ID if name not in REFUSED]
    with one_error(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pillows_limit(max_pixels), Image.open(io.BytesIO(data), formats=formats) as image:
            check_size(image.size, max_pixels)
            image.load()
            check_size(image.size, max_pixels)  # some formats give their size only after decoding
            animated = is_animated(image)
            turned, notices = turn(image)
            rgb = to_rgb(turned)
    if animated:
        notices = ("only the first frame is encoded", *notices)
    return InputImage(rgb.image, notices + rgb.notices)


@contextmanager
def pillows_limit(max_pixels: int) -> Iterator[None]:
    """A block in which Pillow opens images of up to `max_pixels`: its own limit, of the whole process, may be lower."""
    before = Image.MAX_IMAGE_PIXELS
    if before is None or max_pixels <= before:
        yield
        return
    with ONE_LIMIT:
        Image.MAX_IMAGE_PIXELS = max_pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def turn(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """A loaded image turned as its EXIF data say, and notices."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ImageOps.exif_transpose(image), ()
        except MemoryError:
            raise
        except Exception:  # Pillow's reader of EXIF data raises nearly all kinds
            return image, ("the EXIF data are damaged and were ignored",)


@contextmanager
def one_error() -> Iterator[None]:
    """Turn every exception of Pillow about a file into one error; its readers raise nearly all kinds."""
    try:
        yield
    except MiscError:
        raise
    except Image.DecompressionBombError as error:
        raise LimitError("the image has too many pixels") from error
    except UnidentifiedImageError as error:
        raise InputError("the input is not an image of a known format") from error
    except MemoryError as error:
        raise InputError("the image is damaged, or there is not enough memory for it") from error
    except Exception as error:
        raise InputError(f"the image is damaged: {str(error) or type(error).__name__}") from error


def check_size(size: tuple[int, int], max_pixels: int) -> None:
    """Raise LimitError for an image, by width and height, that is too large for a file or for the limit."""
    width, height = size
    if max(size) > MAX_SIDE:
        raise LimitError(f"an image of {width}x{height} is beyond the limit of {MAX_SIDE} pixels a side")
    if width * height > max_pixels:
        raise LimitError(f"an image of {width}x{height} is beyond the limit of {max_pixels} pixels")


def check_image(image: Image.Image, max_pixels: int) -> None:
    """Refuse objects that are not Pillow images, and images of a size that no file can have.

    Raises:
        InputError: it is something else, such as an array or a path.
        LimitError: it has no pixels, or too many.
    """
    if not isinstance(image, Image.Image):
        raise InputError(
            f"the image is one of Pillow, not {type(image).__name__}: "
            "give PIL.Image.open(path) of a file, PIL.Image.fromarray(array) of a uint8 array"
        )
    if min(image.size) < 1:
        raise LimitError(f"an image of {image.width}x{image.height} has no pixels")
    check_size(image.size, max_pixels)


def webp_size(data: bytes) -> tuple[int, int]:
    """Size in the header of an extended WebP file, whose canvas Pillow allocates on opening; else 0, 0."""
    if len(data) < 30 or data[:4] != b"RIFF" or data[8:16] != b"WEBPVP8X":
        return 0, 0
    width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
    return width, height


def is_animated(image: Image.Image) -> bool:
    """Whether there is a second frame; damage after the first does not matter."""
    try:
        return bool(getattr(image, "is_animated", False))
    except (OSError, SyntaxError, ValueError, EOFError, LookupError, struct.error):
        return False


def to_rgb(image: Image.Image) -> InputImage:
    """Any mode of Pillow to 8-bit sRGB: wide samples scaled down, colours by profile, transparency laid on white."""
    narrow, wide_notices = to_8_bits(image)
    converted, colour_notices = to_srgb(narrow, image.info.get("icc_profile"))
    notices = wide_notices + colour_notices
    if converted.has_transparency_data:
        layer = converted.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        if layer.getchannel("A").getextrema() != (255, 255):
            notices += ("transparency was laid on white",)
        return InputImage(Image.alpha_composite(white, layer).convert("RGB"), notices)
    return InputImage(converted if converted.mode == "RGB" else converted.convert("RGB"), notices)


def upright(image: Image.Image) -> Image.Image:
    """The image as 8-bit sRGB, turned by its EXIF data if they are sound; InputError if its samples are damaged."""
    with one_error():
        image.load()
        return to_rgb(turn(image)[0]).image


def to_8_bits(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """An image of 8-bit samples, and notices."""
    mode = image.mode
    if mode.startswith("I;16"):
        return reduce_depth(image, 1 / 257), (f"{mode} samples were reduced to 8 bits",)
    if mode in ("I", "F"):
        kind = "floating-point" if mode == "F" else mode
        return reduce_depth(image, 255 / white_of(image)), (f"{kind} samples were reduced to 8 bits",)
    return image, ()


def white_of(image: Image.Image) -> float:
    """The sample of an image in mode I or F that is white: 1, 255 or 65,535 by the largest finite one, or that one."""
    samples = np.asarray(image)
    largest = float(np.max(samples, where=np.isfinite(samples), initial=0))
    if image.mode == "F" and largest <= GLARE:
        return 1
    return next((white for white in (255, 65535) if largest <= white), largest)


def reduce_depth(image: Image.Image, scale: float) -> Image.Image:
    """An image of one wide channel, times the scale, as 8-bit grey; converted in bands to save memory."""
    samples = np.asarray(image)
    grey = np.empty(samples.shape, np.uint8)
    rows = max(1, BAND // image.width)
    for top in range(0, image.height, rows):
        band = np.nan_to_num(samples[top : top + rows].astype(np.float64) * scale)
        grey[top : top + rows] = np.clip(np.rint(band), 0, 255)
    return Image.fromarray(grey)


def format_of(path: Path) -> str:
    """Pillow's name of the format of an output file.

    Raises:
        InputError: no format with this extension is written.
    """
    name = FORMATS.get(path.suffix.lower())
    if name is None:
        raise InputError(f"an image is written as {', '.join(FORMATS)}, not {path.suffix or path.name!r}")
    return name


def encode_image(image: Image.Image, format_name: str = "PNG") -> bytes:
    """An image file marked as sRGB: PNG and WebP lossless, JPEG and AVIF at high quality.

    Raises:
        InputError: the format cannot hold it.
    """
    longest = LONGEST.get(format_name, MAX_SIDE)
    if max(image.size) > longest:
        raise InputError(f"{format_name} holds at most {longest} pixels a side, not {image.width}x{image.height}")
    buffer = io.BytesIO()
    try:
        image.save(buffer, format_name, icc_profile=srgb_profile(), **SAVE_OPTIONS[format_name])
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"the image cannot be written as {format_name}: {error}") from error
    return buffer.getvalue()


def psnr(reference: Image.Image, image: Image.Image) -> float:
    """Peak signal-to-noise ratio of two RGB images of one size, in dB; infinite if they are equal."""
    a, b = (np.asarray(each, dtype=np.float64) for each in (reference, image))
    mse = float(np.square(a - b).mean())
    return math.inf if mse == 0 else 10 * math.log10(255**2 / mse)
