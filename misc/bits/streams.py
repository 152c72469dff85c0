"""The content of a file to bytes and back: the border between the neural and the exact layer.

Streams ─► pack each ─► sections ─► container ─► bytes
bytes ─► container ─► sections ─► unpack each, check its symbols ─► the same Streams
"""

from __future__ import annotations

import dataclasses
import functools
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from ..errors import BitstreamError, InputError
from . import container
from .container import FINGERPRINT_BYTES, MAX_PIXELS, MAX_SEED, MAX_SIDE, SECTIONS, Header, Section, symbol_check
from .pixels import latents
from .pixels.entropy_model import LatentModel
from .pixels.latents import PixelLatents
from .regions import coder as regions
from .regions.coder import TABLES
from .regions.maps import RegionMaps
from .text import LATER, WEIGHTLESS, Coders, description
from .text.description import Description

__all__ = [
    "ExactModels",
    "Streams",
    "coder_number",
    "count_items",
    "decode",
    "encode",
    "pack",
    "pixel_section",
    "reseed",
    "write",
]


@dataclass(frozen=True)
class Streams:
    """The content of a file, in the file's order: any subset of the three streams.

    Attributes:
        width, height: of the image, 1 to 65,535.
        seed: of the decoder's noise, 0 to 2^32 - 1.
        text: what is in the image.
        regions: where each of the text's items is.
        pixels: the hyperprior's integers.
    """

    width: int
    height: int
    seed: int = 0
    text: Description | None = None
    regions: RegionMaps | None = None
    pixels: PixelLatents | None = None

    def __post_init__(self) -> None:
        if not all(1 <= side <= MAX_SIDE for side in (self.width, self.height)):
            raise InputError(f"an image has 1 to {MAX_SIDE} pixels a side, not {self.width}x{self.height}")
        if not 0 <= self.seed <= MAX_SEED:
            raise InputError(f"the seed is a whole number from 0 to {MAX_SEED}, not {self.seed}")


@dataclass(frozen=True)
class ExactModels:
    """Every model that reads symbols.

    Attributes:
        latents: the pixel stream's.
        coders: the text coders by their numbers.
        memory: SHA-256 of a user's memory, because the seed of a file without pixels is the number of a photo in it.
    """

    latents: LatentModel
    coders: Coders = field(default_factory=lambda: WEIGHTLESS)
    memory: bytes = b""

    @functools.cached_property
    def fingerprint(self) -> int:
        """0 to 65,535: the low bytes of a CRC-32 over the checksums of these models and the region tables."""
        return self._fingerprint()

    @property
    def fingerprints(self) -> frozenset[int]:
        """Fingerprints of all files that these models read: `fingerprint`, and one for each coder in LATER."""
        return frozenset(self.fingerprint_with(number) for number in (0, *self.coders))

    @functools.cached_property
    def _later(self) -> dict[int, int]:
        """Fingerprints of files whose text a coder of LATER wrote, by the coder's number."""
        return {number: self._fingerprint(number) for number in self.coders if number in LATER}

    def fingerprint_with(self, coder: int) -> int:
        """The fingerprint of a file by the number of its text coder; 0 stands for a file without text."""
        return self._later.get(coder, self.fingerprint)

    def _fingerprint(self, coder: int = 0) -> int:
        """As `fingerprint`; coders of LATER count only if it is their number."""
        parts = [self.latents.checksum.to_bytes(4, "big"), bytes(entry & 0xFF for table in TABLES for entry in table)]
        counted = (each for each in sorted(self.coders.items()) if each[0] == coder or each[0] not in LATER)
        parts += [bytes([number]) + each.digest for number, each in counted if each.digest]
        parts.append(self.memory)
        return zlib.crc32(b"".join(parts)) & ((1 << 8 * FINGERPRINT_BYTES) - 1)


def encode(streams: Streams, models: ExactModels) -> bytes:
    """Bytes of a `.misc` file; the text is coded by the coder that needs the fewest bytes.

    Args:
        streams: content of the file.
        models: read the symbols again.

    Raises:
        InputError: the region maps do not fit the image or the text, or the latents not the image or the model.
    """
    return write(streams, pack(streams, models), models)


def pack(streams: Streams, models: ExactModels, *, coder: str = "") -> dict[str, Section]:
    """The section of each stream that is not None, by name; raises as `encode`.

    Args:
        coder: name of the text's coder; if empty, the coder that needs the fewest bytes.
    """
    sections: dict[str, Section] = {}
    if streams.text is not None:
        payload = description.pack(streams.text, models.coders, coder)
        sections["text"] = Section(payload, symbol_check("text", streams.text.symbols()))
    if streams.regions is not None:
        payload = regions.pack(streams.regions, streams.width, streams.height, count_items(streams.text))
        sections["regions"] = Section(payload, symbol_check("regions", streams.regions.symbols()))
    if streams.pixels is not None:
        latents.check(streams.pixels, streams.width, streams.height, models.latents)
        sections["pixels"] = pixel_section(streams.pixels, latents.pack(streams.pixels, models.latents))
    return sections


def pixel_section(pixels: PixelLatents, payload: bytes) -> Section:
    """The section of latents whose bytes are known."""
    return Section(payload, symbol_check("pixels", pixels.symbols()))


def write(streams: Streams, sections: Mapping[str, Section], models: ExactModels) -> bytes:
    """Bytes of a file with the size and seed of streams and with sections that `pack` made."""
    fingerprint = models.fingerprint_with(coder_number(sections))
    return container.write(Header(streams.width, streams.height, streams.seed, fingerprint), sections)


def coder_number(sections: Mapping[str, Section]) -> int:
    """The number of the text's coder; 0 without a text."""
    return next(iter(sections["text"].payload), 0) if "text" in sections else 0


def reseed(data: bytes, seed: int) -> bytes:
    """The same file with another seed.

    Args:
        data: an intact file.
        seed: 0 to 2^32 - 1.
    """
    header, sections = container.read(data, max_pixels=MAX_SIDE * MAX_SIDE)
    return container.write(dataclasses.replace(header, seed=seed), sections)


def count_items(text: Description | None) -> int:
    """Number of the text's items; the region stream does not code it again."""
    return 0 if text is None else len(text.items)


def decode(
    data: bytes,
    models: ExactModels,
    *,
    max_pixels: int = MAX_PIXELS,
    partial: bool = False,
    wanted: Collection[str] = SECTIONS,
) -> Streams:
    """Streams of a file.

    Args:
        data: the whole file.
        models: must be those that wrote the file, as its fingerprint says.
        max_pixels: the largest image that is accepted.
        partial: accept a file that was cut after its first section, and return the streams that are left.
        wanted: names of the streams to decode. The others are covered only by the file's checksum. Regions need the
            text.

    Raises:
        BitstreamError, LimitError, ModelMismatchError: as `container.read`; also where symbols fail their check.
    """
    header, sections = container.read(data, fingerprints=models.fingerprints, max_pixels=max_pixels, partial=partial)
    if "text" in sections:
        container.check_fingerprint(header, {models.fingerprint_with(coder_number(sections))})
    sections = {name: section for name, section in sections.items() if name in wanted}
    text = maps = pixels = None
    if "text" in sections:
        text = description.unpack(sections["text"].payload, models.coders)
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
            pixels = latents.unpack(sections["pixels"].payload, header.width, header.height, models.latents)
            check_symbols("pixels", pixels.symbols(), sections["pixels"])
        except BitstreamError:
            if not partial or (text is None and maps is None):
                raise
            pixels = None
    # Without pixels a seed is the number of a photo; that of a file whose pixels are lost is not.
    seed = 0 if partial and pixels is None and container.has_pixels(data) else header.seed
    return Streams(header.width, header.height, seed, text, maps, pixels)


def check_symbols(name: str, symbols: bytes, section: Section) -> None:
    """Compare decoded symbols with the section's check; BitstreamError if they differ."""
    if symbol_check(name, symbols) != section.check:
        raise BitstreamError(
            f"the {name} stream decodes to other symbols than were written: it is damaged or of other models"
        )
