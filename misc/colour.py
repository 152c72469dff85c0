"""Colours of any ICC profile to sRGB, with Little CMS.

    samples, ICC profile ─► relative colorimetric, black points matched ─► sRGB

A profile is untrusted input, too. If it is damaged or belongs to another colour space than the image, it is ignored,
and a notice says so.
"""

from __future__ import annotations

import functools
import io
import itertools

import numpy as np
from PIL import Image, ImageCms

__all__ = ["srgb_profile", "to_srgb"]

SPACES = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK", "LAB": "Lab "}
DATE = slice(24, 36)  # of a profile's header
PLAIN = ("1", "P", "PA", "RGBX", "YCbCr", "HSV", "La", "RGBa")


@functools.cache
def srgb_profile() -> bytes:
    """The profile of sRGB, always the same bytes: without the time at which it was made."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[DATE] = bytes((7, 0xD0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0))  # 1 January 2000
    return bytes(profile)


def to_srgb(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, tuple[str, ...]]:
    """The image in sRGB, and notices.

    Args:
        image: of 8-bit samples.
        profile: the bytes of its ICC profile, if it has one.

    Returns:
        an image of mode RGB or RGBA if there was a valid profile; otherwise the image with its samples unchanged.
    """
    plain = without_palette(image)
    if not profile or not isinstance(profile, bytes):
        return plain, ()
    alpha = plain.getchannel("A") if plain.mode in ("LA", "RGBA") else None
    colours = plain.convert(plain.mode[:-1]) if alpha else plain
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space != SPACES.get(colours.mode):
            return plain, ("the colour profile is of another kind of colours and was ignored",)
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            colours.mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        if colours.mode == "RGB" and is_identity(transform):
            return plain, ()
        converted = ImageCms.applyTransform(colours, transform)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return plain, ("the colour profile is damaged and was ignored",)
    assert converted is not None
    converted.info.pop("icc_profile", None)
    if alpha:
        converted.putalpha(alpha)
    return converted, ()


def without_palette(image: Image.Image) -> Image.Image:
    """An image whose samples are those of a colour space, transparency in a channel."""
    if image.mode in ("La", "RGBa"):  # premultiplied
        return image.convert(image.mode.upper())
    if image.has_transparency_data and image.mode not in ("LA", "RGBA"):
        return image.convert("RGBA")
    return image.convert("L" if image.mode == "1" else "RGB") if image.mode in PLAIN else image


def is_identity(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether a transform of RGB changes no sample by more than one, so that the image is already sRGB."""
    levels = np.array(list(itertools.product(range(0, 256, 17), repeat=3)), np.uint8)[None]
    probe = ImageCms.applyTransform(Image.fromarray(levels), transform)
    return bool(np.abs(np.asarray(probe).astype(int) - levels).max() <= 1)
