"""What a file says of an image, to bytes and back: the border between the neural and the exact layer.

Streams ─► pack each ─► sections ─► container ─► bytes
bytes ─► container ─► sections ─► unpack each, check its symbols ─► the same Streams
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import BitstreamError
from . import container
from .container import MAX_PIXELS, Header, Section, symbol_check
from .pixels import latents
from .pixels.entropy_model import LatentModel
from .pixels.latents import PixelLatents
from .regions import coder as regions
from .regions.maps import RegionMaps
from .text import WEIGHTLESS, TextCoder, description
from .text.description import Description

__all__ = ["Streams", "count_items", "decode", "encode", "pack", "pixel_section", "write"]


@dataclass(frozen=True)
class Streams:
    """What a file says of an image, in the order of the file; any subset of the three streams.

    Attributes:
        width, height: of the image, 1 to 65,535. seed: of the decoder's noise, 0 to 2^32 - 1.
        text: what is in the image. regions: where each of the text's items is. pixels: the hyperprior's integers.
    """

    width: int
    height: int
    seed: int = 0
    text: Description | None = None
    regions: RegionMaps | None = None
    pixels: PixelLatents | None = None


def encode(streams: Streams, model: LatentModel, coders: Sequence[TextCoder] = WEIGHTLESS) -> bytes:
    """Bytes of a `.misc` file; text by whichever of the coders needs the fewest.

    Raises:
        InputError: the region maps do not fit the image or the text.
    """
    return write(streams, pack(streams, model, coders), model)


def pack(streams: Streams, model: LatentModel, coders: Sequence[TextCoder] = WEIGHTLESS) -> dict[str, Section]:
    """The sections of those streams that are there, by name; raises as `encode`."""
    sections: dict[str, Section] = {}
    if streams.text is not None:
        payload = description.pack(streams.text, coders)
        sections["text"] = Section(payload, symbol_check("text", streams.text.symbols()))
    if streams.regions is not None:
        payload = regions.pack(streams.regions, streams.width, streams.height, count_items(streams.text))
        sections["regions"] = Section(payload, symbol_check("regions", streams.regions.symbols()))
    if streams.pixels is not None:
        sections["pixels"] = pixel_section(streams.pixels, latents.pack(streams.pixels, model))
    return sections


def pixel_section(pixels: PixelLatents, payload: bytes) -> Section:
    """The section of latents whose bytes are known."""
    return Section(payload, symbol_check("pixels", pixels.symbols()))


def write(streams: Streams, sections: dict[str, Section], model: LatentModel) -> bytes:
    """Bytes of a file with the size and seed of streams and with sections that `pack` made."""
    return container.write(Header(streams.width, streams.height, streams.seed, model.fingerprint), sections)


def count_items(text: Description | None) -> int:
    """Number of the text's items, which need not be sent with the regions then."""
    return 0 if text is None else len(text.items)


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
        model: of the pixel stream. coders: of the text stream.
        max_pixels: the largest image that is accepted.
        partial: accept a file that was cut behind its first section, as the smaller file.

    Raises:
        BitstreamError, LimitError, ModelMismatchError: as `container.read`; also where symbols fail their check.
    """
    header, sections = container.read(data, fingerprint=model.fingerprint, max_pixels=max_pixels, partial=partial)
    text = maps = pixels = None
    if "text" in sections:
        text = description.unpack(sections["text"].payload, coders)
        check_symbols("text", text.symbols(), sections["text"])
    if "regions" in sections:
        try:
            maps = regions.unpack(sections["regions"].payload, header.width, header.height, count_items(text))
            check_symbols("regions", maps.symbols(), sections["regions"])
        except BitstreamError:
            if not partial or text is None:
                raise
            maps = None
    if "pixels" in sections:
        try:
            pixels = latents.unpack(sections["pixels"].payload, header.width, header.height, model)
            check_symbols("pixels", pixels.symbols(), sections["pixels"])
        except BitstreamError:
            if not partial or (text is None and maps is None):
                raise
            pixels = None
    return Streams(header.width, header.height, header.seed, text, maps, pixels)


def check_symbols(name: str, symbols: bytes, section: Section) -> None:
    """Compare decoded symbols with the section's check; BitstreamError if they differ."""
    if symbol_check(name, symbols) != section.check:
        raise BitstreamError(
            f"the {name} stream decodes to other symbols than were written: it is damaged or of other models"
        )
