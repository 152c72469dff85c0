"""Modes: the streams of each, those that it requires and those that it may leave out.

mode      streams                 text
dlsvc     text                    the overall sentence in 26 letters, by LZW
micro     text                    skeletons of as many words as the limit allows
text      text                    as it is
text+map  text, regions           as it is
pixel     pixels
misc      text, regions, pixels   as it is; text and regions are left out if they cannot be made or do not fit
auto      text, regions below AUTO_BPP of `misc.rate_control`, else the streams of misc
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from .bits.container import SECTIONS
from .bits.regions.maps import RegionMaps
from .bits.streams import Streams
from .bits.text.description import MAX_WORDS, Description
from .bits.text.lzw import fold
from .errors import InputError, UsageError, WeightsError
from .given import check_maps, check_text
from .rate_control import AUTO_BPP

if TYPE_CHECKING:
    from PIL import Image

    from .models.semantics import Semantics

__all__ = ["LEAST", "MODES", "Mode", "Notice", "Plan", "plan_of", "see_missing", "select_streams", "warn"]

Notice = Callable[[str], None]


def warn(notice: str) -> None:
    """Give a notice as a warning of Python's."""
    warnings.warn(notice, stacklevel=3)


class Mode(StrEnum):
    """The modes by name."""

    DLSVC = "dlsvc"
    MICRO = "micro"
    TEXT = "text"
    TEXT_MAP = "text+map"
    PIXEL = "pixel"
    MISC = "misc"
    AUTO = "auto"


@dataclass(frozen=True)
class Plan:
    """The streams of a file.

    Attributes:
        streams: names of its streams, of text, regions and pixels.
        optional: those that may be left out if their models are missing or the limit is small.
        coder: name of the text coder; if empty, the coder that needs the fewest bytes.
    """

    streams: frozenset[str]
    optional: frozenset[str] = frozenset()
    coder: str = ""


TEXT, REGIONS, PIXELS = (frozenset([name]) for name in SECTIONS)

PLANS: Mapping[Mode, Plan] = {
    Mode.DLSVC: Plan(TEXT, coder="lzw"),
    Mode.MICRO: Plan(TEXT, coder="consonants"),
    Mode.TEXT: Plan(TEXT),
    Mode.TEXT_MAP: Plan(TEXT | REGIONS),
    Mode.PIXEL: Plan(PIXELS),
    Mode.MISC: Plan(TEXT | REGIONS | PIXELS, optional=TEXT | REGIONS),
}
LEAST = Plan(TEXT | REGIONS, optional=REGIONS)  # of mode auto
MODES = tuple(str(mode) for mode in PLANS)


def plan_of(mode: str | None = None, streams: Collection[str] | None = None, rate: float | None = None) -> Plan:
    """The plan of a mode (misc if nothing is given), or of streams by name, which are then all required.

    Args:
        rate: largest bitrate of the file in bits per pixel, if known; only for mode auto.

    Raises:
        UsageError: both are given, or there is no such mode or stream.
    """
    if mode is not None and streams is not None:
        raise UsageError("give a mode or streams, not both")
    if streams is not None:
        if (
            isinstance(streams, str)
            or not isinstance(streams, Collection)
            or not streams
            or not set(streams) <= set(SECTIONS)
        ):
            raise UsageError(f"the streams are one or more of {', '.join(SECTIONS)}")
        return Plan(frozenset(streams))
    if mode == Mode.AUTO:
        return PLANS[Mode.MISC] if rate is None or rate >= AUTO_BPP else LEAST
    try:
        return PLANS[Mode(mode or Mode.MISC)]
    except ValueError:
        raise UsageError(f"there is no mode {mode!r}; there is {', '.join(Mode)}") from None


def see_missing(
    plan: Plan,
    image: Image.Image,
    text: Description | None,
    maps: RegionMaps | None,
    grid: int,
    semantics: Semantics,
    notice: Notice,
) -> tuple[Description | None, RegionMaps | None]:
    """Text and regions for a plan: those that are given, and the others from describer and locator.

    Args:
        image: RGB.
        grid: cells of the maps on the shorter side.
        notice: called about streams that are left out.

    Raises:
        WeightsError, DescriberError: a stream that the plan needs cannot be made.
        InputError: there is no item to locate, or text and maps are no Description and RegionMaps.
    """
    text, maps = check_text(text), check_maps(maps)
    missing = {name for name, given in (("text", text), ("regions", maps)) if given is None} & plan.streams
    try:
        if "regions" in missing and text is None:
            text, maps = semantics.see(image, grid=grid)
        elif "regions" in missing:
            assert text is not None
            maps = semantics.locate(image, text, grid)
        elif "text" in missing:
            text = semantics.describe(image)
    except WeightsError as error:
        if not missing <= plan.optional or (semantics.asked is not None and text is None):
            raise
        left = "text and region streams are" if "text" in missing else "region stream is"
        notice(f"the {left} left out: {error}")
    if maps is None and "regions" in plan.streams - plan.optional:
        raise InputError("the text names no item, so there are no regions to write")
    return text, maps


def select_streams(plan: Plan, full: Streams, notice: Notice) -> Streams:
    """Only the streams of the plan: the text folded for LZW if needed, and no maps without any set cell.

    Args:
        full: text and regions of the image, before anything is left out.
        notice: called about words that are left out.

    Raises:
        InputError: nothing is left of the text, or nothing at all.
    """
    text, maps = full.text, full.regions
    if "regions" not in plan.streams or (maps is not None and not maps.masks.any()):
        maps = None
    if "text" not in plan.streams or text is None:
        text = None
    elif plan.coder == "lzw":
        text = fold_text(text, notice)
    elif plan.coder != "consonants" and not any(text.fields()):
        raise InputError("the text is empty: there is nothing to draw or to locate")
    if text is None and maps is None and "pixels" not in plan.streams:
        raise InputError("nothing is left to write: no cell of the regions is set")
    return dataclasses.replace(full, text=text, regions=maps)


def fold_text(text: Description, notice: Notice) -> Description:
    """The overall sentence in letters a to z and spaces, at most 64 words."""
    words = fold(text.overall).split()
    if not words:
        raise InputError("mode dlsvc keeps letters from a to z, and this text has none")
    if len(words) > MAX_WORDS:  # folding splits words at hyphens
        notice(f"mode dlsvc keeps the first {MAX_WORDS} of {len(words)} words")
    return Description(" ".join(words[:MAX_WORDS]))
