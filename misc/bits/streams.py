"""All streams of a picture to a file and back: the border between the neural and the exact layer.

Streams ─► pack each ─► File ─► bytes ─► File ─► unpack each, check its symbols ─► the same Streams
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import BitstreamError
from . import container
from .container import MAX_PIXELS, File, Section, symbol_check
from .pixels import latents
from .pixels.entropy_model import LatentModel
from .pixels.latents import PixelLatents
from .regions import coder as regions
from .regions.maps import RegionMaps
from .text import WEIGHTLESS, TextCoder, description
from .text.description import Description

__all__ = ["Streams", "decode", "encode", "pixel_section", "region_section", "text_section"]


@dataclass(frozen=True)
class Streams:
    """What a file says about a picture of width x height pixels; any subset of the streams."""

    width: int
    height: int
    seed: int = 0
    text: Description | None = None
    pixels: PixelLatents | None = None
    regions: RegionMaps | None = None


def encode(streams: Streams, model: LatentModel, coders: Sequence[TextCoder] = WEIGHTLESS) -> bytes:
    """Bytes of a `.misc` file; text by whichever of the coders needs the fewest.

    Raises:
        InputError: the region maps do not fit the picture or the text.
    """
    width, height = streams.width, streams.height
    text = None if streams.text is None else text_section(streams.text, coders)
    maps = None if streams.regions is None else region_section(streams.regions, width, height, streams.text)
    pixels = None if streams.pixels is None else pixel_section(streams.pixels, model)
    return container.write(File(width, height, model.fingerprint, streams.seed, text, maps, pixels))


def text_section(text: Description, coders: Sequence[TextCoder]) -> Section:
    """The text stream as a section of a file."""
    return Section(description.pack(text, coders), symbol_check("text", text.symbols()))


def region_section(maps: RegionMaps, width: int, height: int, text: Description | None) -> Section:
    """The region stream of a picture as a section of a file; the text is the one of the same file."""
    return Section(regions.pack(maps, width, height, items_of(text)), symbol_check("regions", maps.symbols()))


def items_of(text: Description | None) -> int:
    """Number of the text's items, which need not be sent with the regions then."""
    return 0 if text is None else len(text.items)


def pixel_section(pixels: PixelLatents, model: LatentModel) -> Section:
    """The pixel stream as a section of a file."""
    return Section(latents.pack(pixels, model), symbol_check("pixels", pixels.symbols()))


def decode(
    data: bytes,
    model: LatentModel,
    coders: Sequence[TextCoder] = WEIGHTLESS,
    *,
    max_pixels: int = MAX_PIXELS,
    partial: bool = False,
) -> Streams:
    """Streams of a file.

    Args:
        model, coders: of the pixel stream, of the text stream.
        max_pixels: the largest picture that is accepted.
        partial: accept a file that was cut behind its first section, as the smaller file.

    Raises:
        BitstreamError, LimitError, ModelMismatchError: as `container.read`; also where symbols fail their check.
    """
    file = container.read(data, profile=model.fingerprint, max_pixels=max_pixels, partial=partial)
    text = maps = pixels = None
    if file.text is not None:
        text = description.unpack(file.text.payload, coders)
        check_symbols("text", text.symbols(), file.text)
    if file.regions is not None:
        try:
            maps = regions.unpack(file.regions.payload, file.width, file.height, items_of(text))
            check_symbols("regions", maps.symbols(), file.regions)
        except BitstreamError:
            if not partial or text is None:
                raise
            maps = None
    if file.pixels is not None:
        try:
            pixels = latents.unpack(file.pixels.payload, file.width, file.height, model)
            check_symbols("pixels", pixels.symbols(), file.pixels)
        except BitstreamError:
            if not partial or (text is None and maps is None):
                raise
            pixels = None
    return Streams(file.width, file.height, file.seed, text, pixels, maps)


def check_symbols(name: str, symbols: bytes, section: Section) -> None:
    if symbol_check(name, symbols) != section.check:
        raise BitstreamError(
            f"the {name} stream decodes to other symbols than were written: it is damaged or of other models"
        )
