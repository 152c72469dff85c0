"""All modes side by side, with the same limit for the whole file.

photo ─► what is in it, once ─┬─► dlsvc ───► file ─► image ─► likeness ─┐
                              ├─► ...                                   ├─► one row of the page
                              └─► misc ────► file ─► image ─► likeness ─┘

Files are not padded: a mode without pixels may need far less than the limit. If a mode does not fit, its entry says
why.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import html
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from PIL import Image

from ..errors import MiscError, WeightsError
from ..images import psnr
from ..modes import MODES, plan_of
from . import steps
from .steps import Content, Wish

if TYPE_CHECKING:
    from ..bits.regions.maps import RegionMaps
    from ..bits.text.description import Description
    from ..closed_loop import Likeness
    from ..codec import Codec

__all__ = ["Entry", "Progress", "compare", "row_html"]

SHOWN_SIDE = 640  # pixels of the longer side of an image in the row
LIKENESS = {"vit_patch": "ViT patch", "vit_mean": "ViT mean", "clip": "CLIP likeness"}


@dataclass(frozen=True)
class Entry:
    """A mode in the row.

    Attributes:
        mode: its name.
        content: its file with the decoded streams; None if there is none.
        image: the image drawn from the file.
        likeness: cosine similarities to the original by name, at most 1, and `psnr` in dB.
        notices: what was left out or shortened, and why.
        problem: why there is no file or no image.
    """

    mode: str
    content: Content | None = None
    image: Image.Image | None = None
    likeness: Mapping[str, float] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Progress:
    """Progress of the comparison.

    Attributes:
        entries: finished modes.
        next: the next step, in words.
    """

    entries: tuple[Entry, ...]
    next: str


def compare(codec: Codec, photo: Image.Image, wish: Wish) -> Iterator[Progress]:
    """Files and images of all modes. Yields the progress before each step, and once at the end.

    Args:
        codec: codes and draws; its notices go to the entries.
        photo: RGB.
        wish: its limit and candidates hold for every mode; its mode is ignored.

    Raises:
        InputError: the limit or the candidates are out of their ranges.
    """
    wish.check()
    yield Progress((), "looking at the photo")
    seen = look_at(codec, photo)
    entries: list[Entry] = []
    for number, mode in enumerate(MODES):
        place = f"mode {mode}, {number + 1} of {len(MODES)}"
        one = Wish(mode, wish.bpp, wish.candidates)
        yield Progress(tuple(entries), f"{place}: encoding")
        entry = encode_one(codec, photo, one, seen)
        if entry.content is not None:
            yield Progress(tuple(entries), f"{place}: drawing")
            entry = draw_one(codec, entry, seen)
        entries.append(entry)
    yield Progress(tuple(entries), "")


@dataclass(frozen=True)
class Seen:
    """Text and regions of the photo, and the measure of similarity to it.

    Attributes:
        photo: RGB.
        text, regions: as in `Codec.see`; None if they cannot be made.
        problem: why they cannot be made.
        likeness: None if the towers' weights are missing.
    """

    photo: Image.Image
    text: Description | None
    regions: RegionMaps | None
    problem: str
    likeness: Likeness | None


def look_at(codec: Codec, photo: Image.Image) -> Seen:
    """Describe and locate once for all modes."""
    from ..closed_loop import Likeness

    text, regions, problem, likeness = None, None, "", None
    try:
        text, regions = codec.see(photo)
    except MiscError as error:
        problem = str(error)
    with contextlib.suppress(WeightsError):
        likeness = Likeness(codec.semantics, photo)
    return Seen(photo, text, regions, problem, likeness)


def encode_one(codec: Codec, photo: Image.Image, wish: Wish, seen: Seen) -> Entry:
    """A mode's file, not drawn yet."""
    plan = plan_of(wish.mode)
    if "text" in plan.streams - plan.optional and seen.text is None:
        return Entry(wish.mode, problem=seen.problem)
    notices: list[str] = []
    with telling(codec, notices):
        try:
            data = steps.encode_photo(codec, photo, wish, seen.text, seen.regions)
            return Entry(wish.mode, steps.look(codec, data), notices=tuple(notices))
        except MiscError as error:
            return Entry(wish.mode, notices=tuple(notices), problem=str(error))


def draw_one(codec: Codec, entry: Entry, seen: Seen) -> Entry:
    """The entry with its image and its similarity to the original."""
    assert entry.content is not None
    notices = list(entry.notices)
    with telling(codec, notices):
        try:
            image = codec.draw(entry.content.streams)
        except MiscError as error:
            return dataclasses.replace(entry, notices=tuple(notices), problem=str(error))
    figures = {"psnr": psnr(seen.photo, image)}
    if seen.likeness is not None:
        figures |= seen.likeness.cosines(image)
    return dataclasses.replace(entry, image=image, likeness=figures, notices=tuple(notices))


@contextmanager
def telling(codec: Codec, notices: list[str]) -> Iterator[None]:
    """A block in which a codec's notices go to a list."""
    usual, codec.notice = codec.notice, notices.append
    try:
        yield
    finally:
        codec.notice = usual


def row_html(photo: Image.Image, entries: Sequence[Entry]) -> str:
    """HTML of the original and of each mode's image, with bytes and similarity, or the reason for having none."""
    original = figure("original", photo, [f"{photo.width}x{photo.height}"])
    cards = "".join(f"<li>{each}</li>" for each in [original, *map(card, entries)])
    return f'<div class="modes" role="region" aria-label="All modes" tabindex="0"><ul>{cards}</ul></div>'


def card(entry: Entry) -> str:
    """HTML of one mode."""
    content = entry.content
    lines = []
    if content is not None:
        sizes = ", ".join(f"{name} {size}" for name, size in content.sizes.items() if size)
        lines = [kind_of(content), f"{len(content.data)} bytes, {content.bpp:.5f} bits per pixel", sizes]
    if entry.likeness:
        cosines = [f"{name} {entry.likeness[key]:.3f}" for key, name in LIKENESS.items() if key in entry.likeness]
        lines += [", ".join(cosines), f"PSNR {entry.likeness['psnr']:.2f} dB"]
    lines += [*entry.notices, entry.problem]
    return figure(entry.mode, entry.image, [line for line in lines if line])


def kind_of(content: Content) -> str:
    """What a file is drawn from, in a few words."""
    streams = content.streams
    if streams.pixels is None:
        return "semantic only"
    return "pixels alone" if streams.text is None and streams.regions is None else "hybrid"


def figure(name: str, image: Image.Image | None, lines: Sequence[str]) -> str:
    """HTML of an image, if there is one, with its name and lines below it."""
    shown = ""
    if image is not None:
        small = image.copy()
        small.thumbnail((SHOWN_SIDE, SHOWN_SIDE), Image.Resampling.LANCZOS)
        with io.BytesIO() as file:
            small.save(file, "WEBP", lossless=True)
            data = base64.b64encode(file.getvalue()).decode()
        shown = f'<img alt="{html.escape(name)}" src="data:image/webp;base64,{data}">'
    words = "".join(f"<br>{html.escape(line)}" for line in lines)
    return f"<figure>{shown}<figcaption><b>{html.escape(name)}</b>{words}</figcaption></figure>"
