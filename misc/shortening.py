"""Shorter forms of text and regions for a limit: drop the least important items first, then details, then words.

    text, regions ─► forms, each shorter than the one before ─► the first that fits, each coded at most once

Items are sorted by importance. An item's region is dropped with it. A sentence is cut at its end, and never after a
stop word.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from .bits.regions.maps import RegionMaps
from .bits.text.consonants import STOP_WORDS
from .bits.text.description import Description, Item

__all__ = ["NOTHING", "Form", "first_that_fits", "shorter_forms", "tell_shortened"]


@dataclass(frozen=True)
class Form:
    """One version of text and regions for a file."""

    text: Description | None = None
    regions: RegionMaps | None = None


NOTHING = Form()


def shorter_forms(whole: Form, *, spare_regions: bool, spare_text: bool) -> list[Form]:
    """The whole form and shorter ones, the longest first.

    Args:
        spare_regions, spare_text: whether all regions, or text and regions, may be left out.
    """
    forms = [whole]
    text, maps = whole.text, whole.regions
    if maps is not None and spare_regions:
        forms.append(Form(text))
        maps = None
    if text is None:
        count = 0 if maps is None else len(maps.masks)
        forms += [Form(None, first_masks(maps, k)) for k in reversed(range(1, count))]
    else:
        for each in shorter_texts(text, int(maps is not None)):
            of_items = maps is None or bool(text.items)  # maps without items in the text stay whole
            forms.append(Form(each, first_masks(maps, len(each.items)) if of_items else maps))
    if (spare_text or text is None) and spare_regions:
        forms.append(NOTHING)
    return forms


def shorter_texts(text: Description, items: int) -> list[Description]:
    """Shorter texts with at least `items` items, the longest first."""
    kept = text.items
    shorter: list[Description] = []
    for count in reversed(range(max(items, 1), len(kept))):
        shorter.append(Description(text.overall, kept[:count]))
    kept = kept[:1] if len(kept) > max(items, 1) else kept
    if any(item.detail for item in kept):
        kept = tuple(Item(item.name) for item in kept)
        shorter.append(Description(text.overall, kept))
    if kept and items == 0 and text.overall:
        kept = ()
        shorter.append(Description(text.overall))
    words = text.overall.split()
    for count in reversed(range(1, len(words))):
        if words[count - 1].lower() not in STOP_WORDS:
            shorter.append(Description(" ".join(words[:count]).rstrip(",;:"), kept))
    if kept and words:
        shorter.append(Description("", kept))
    return shorter


def first_masks(maps: RegionMaps | None, count: int) -> RegionMaps | None:
    """The maps of the first items; None if no cell of them is set."""
    if maps is None or not maps.masks[:count].any():
        return None
    return maps if count == len(maps.masks) else dataclasses.replace(maps, masks=maps.masks[:count])


def first_that_fits(count: int, size: Callable[[int], int], most: int) -> int | None:
    """Index of the longest form with at most `most` bytes, or None. It bisects and measures each form at most once.

    Args:
        count: number of forms.
        size: returns the bytes of the form at an index; the longest is at 0.
    """
    if size(0) <= most:
        return 0
    if count == 1 or size(count - 1) > most:
        return None
    low, high = 0, count - 1  # `low` does not fit, `high` does
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if size(middle) <= most else (middle, high)
    return high


def tell_shortened(whole: Form, kept: Form, most: int) -> str:
    """A sentence about what was left out; empty if nothing was."""
    left: list[str] = []
    if whole.text is not None and kept.text is None:
        left.append("the text")
    if whole.regions is not None and kept.regions is None:
        left.append("the regions")
    if whole.text is not None and kept.text is not None:
        gone = len(whole.text.items) - len(kept.text.items)
        if gone:
            left.append(f"{gone} of {len(whole.text.items)} items")
        before, after = (len(text.overall.split()) for text in (whole.text, kept.text))
        if after < before:
            left.append(f"{before - after} of {before} words")
        if [item.detail for item in kept.text.items] != [
            item.detail for item in whole.text.items[: len(kept.text.items)]
        ]:
            left.append("the details of items")
    elif whole.regions is not None and kept.regions is not None and len(kept.regions.masks) < len(whole.regions.masks):
        left.append(f"{len(whole.regions.masks) - len(kept.regions.masks)} of {len(whole.regions.masks)} regions")
    return f"left out, as {most} bytes hold no more: {', '.join(left)}" if left else ""
