"""The page's steps as plain functions: no Gradio, no files.

photo's bytes ─► read_photo ─► encode_photo ─► file's bytes ─► look ─► Content ─┬─► bar, region masks, text fields
                                                   ▲                            └─► draft, drawn image
                              edit_text ───────────┘
"""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..bits import container
from ..bits.text.description import Description, Item
from ..editing import edit_file
from ..errors import InputError, LimitError
from ..images import decode_image

if TYPE_CHECKING:
    from ..bits.regions.maps import RegionMaps
    from ..bits.streams import Streams
    from ..codec import Codec

__all__ = [
    "MAX_CANDIDATES",
    "MAX_UPLOAD",
    "Content",
    "Wish",
    "edit_text",
    "encode_photo",
    "items_as_lines",
    "items_from_lines",
    "look",
    "read_photo",
    "region_masks",
    "stream_bar",
]

MAX_UPLOAD = 20 * 1000 * 1000  # largest file that the page accepts, in bytes
MAX_CANDIDATES = 64
COLOURS = {"text": "#1565c0", "regions": "#2e7d32", "pixels": "#6a1b9a", "header": "#616161"}

Mask = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Wish:
    """A visitor's choices for encoding.

    Attributes:
        mode: of `misc.modes`.
        bpp: largest bitrate of the whole file in bits per pixel.
        candidates: number of images that the encoder tries.
    """

    mode: str
    bpp: float
    candidates: int = 1

    def check(self) -> None:
        """Raise InputError if a number is out of its range."""
        if not 0 < self.bpp < math.inf:
            raise InputError("the budget is a number of bits per pixel above 0")
        if not 1 <= self.candidates <= MAX_CANDIDATES:
            raise InputError(f"the number of candidates is 1 to {MAX_CANDIDATES}")


@dataclass(frozen=True)
class Content:
    """A file and its content.

    Attributes:
        data: the file.
        streams: its decoded streams.
        sizes: bytes of each stream, and of the header with all checks.
        bpp: bits per pixel of the whole file.
    """

    data: bytes
    streams: Streams
    sizes: dict[str, int]
    bpp: float


def read_photo(data: bytes, max_pixels: int) -> Image.Image:
    """The RGB image of an uploaded file.

    Raises:
        LimitError: the file or the image is too large.
        InputError: it is not an image.
    """
    if len(data) > MAX_UPLOAD:
        raise LimitError(f"the file has more than {MAX_UPLOAD // 1_000_000} MB")
    return decode_image(data, max_pixels).image


def encode_photo(
    codec: Codec,
    photo: Image.Image,
    wish: Wish,
    text: Description | None = None,
    regions: RegionMaps | None = None,
) -> bytes:
    """The file of a photo; raises as `Codec.encode`, which makes text and regions that are not given."""
    wish.check()
    return codec.encode(
        photo, mode=wish.mode, bpp=wish.bpp, candidates=wish.candidates, description=text, regions=regions
    )


def look(codec: Codec, data: bytes) -> Content:
    """The content of a file; raises as `Codec.streams`."""
    if len(data) > container.MAX_BYTES:
        raise LimitError(f"a .misc file has at most {container.MAX_BYTES} bytes")
    streams = codec.streams(data)
    header, sections = container.read(data, max_pixels=codec.max_pixels)
    sizes = {name: len(section.payload) for name, section in sections.items()}
    sizes["header"] = len(data) - sum(sizes.values())
    return Content(data, streams, sizes, 8 * len(data) / (header.width * header.height))


def edit_text(codec: Codec, data: bytes, overall: str, items: str) -> bytes:
    """The file with the text of two fields of the page; raises as `edit_file`."""
    text = Description(overall.strip(), items_from_lines(items))
    return edit_file(data, codec.profile.exact_models, text=text, max_pixels=codec.max_pixels)


def items_as_lines(text: Description | None) -> str:
    """The items of a text, a line each: `name: detail`."""
    lines = [] if text is None else [f"{item.name}: {item.detail}".rstrip(": ") for item in text.items]
    return "\n".join(lines)


def items_from_lines(lines: str) -> tuple[Item, ...]:
    """The items from lines of text; empty lines are skipped."""
    items = []
    for line in filter(None, map(str.strip, lines.splitlines())):
        name, _, detail = line.partition(":")
        items.append(Item(name.strip(), detail.strip()))
    return tuple(items)


def region_masks(streams: Streams) -> list[tuple[Mask, str]]:
    """For each item with a set cell: a mask (height, width) of 0 and 1, and its name, or its number without a text."""
    if streams.regions is None:
        return []
    names = [item.name for item in streams.text.items] if streams.text else []
    masks = []
    for number, cells in enumerate(streams.regions.masks):
        if cells.any():
            name = names[number] if number < len(names) else f"item {number + 1}"
            small = Image.fromarray(np.asarray(cells, bool).astype(np.uint8) * 255)
            mask = np.asarray(small.resize((streams.width, streams.height), Image.Resampling.NEAREST)) / np.float32(255)
            masks.append((mask.astype(np.float32), name))
    return masks


def stream_bar(content: Content) -> str:
    """HTML: the bytes of every stream as parts of one bar, with the numbers in words below it."""
    parts = {name: size for name, size in content.sizes.items() if size}
    total = sum(parts.values())
    boxes = "".join(
        f'<span style="flex:{size} 0 4px;background:{COLOURS[name]};height:1.6em"></span>'
        for name, size in parts.items()
    )
    words = ", ".join(f"{name} {size}" for name, size in parts.items())
    legend = "".join(
        f'<span style="margin-right:1em"><span aria-hidden="true" style="color:{COLOURS[name]}">■</span> '
        f"{html.escape(name)} {size}</span>"
        for name, size in parts.items()
    )
    size = f"{content.streams.width}x{content.streams.height}"
    return (
        f'<div role="img" aria-label="bytes: {html.escape(words)}" style="display:flex;gap:2px">{boxes}</div>'
        f"<p>{legend}</p><p>{size}, {total} bytes, {content.bpp:.5f} bits per pixel</p>"
    )
