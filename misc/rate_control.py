"""Rate control: the limit of a file, and the best pixel stream within it.

bpp, ubpp or bytes ─► Limit ─┬─► length of text and regions: `misc.shortening`, in mode micro `misc.micro`
                             └─► quality of the pixel stream: a bracketing search that starts at typical rates
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from .errors import BudgetError, UsageError
from .given import whole

__all__ = [
    "AUTO_BPP",
    "DEFAULT_BPP",
    "DEFAULT_EFFORT",
    "OPTIMISED_PIXELS",
    "TEXT_SHARE",
    "Limit",
    "best_file",
    "best_within",
    "check_budget",
    "limit_of",
]

DEFAULT_BPP = 0.024
DEFAULT_EFFORT = 6  # rounds of optimising symbols, half a second each for 768x512 on one core
AUTO_BPP = 0.0045  # from here on mode auto writes pixels: `misc eval crossing` measured it on 8 COCO photos
TEXT_SHARE = 1 / 10  # largest share of a file for text and regions that do not change the image; see `misc eval share`
LARGEST = 1e12  # largest rate that is accepted as a limit
MILLION = 1e6
QUALITIES = 256
OPTIMISED_PIXELS = 1 << 21  # of the largest image whose symbols are optimised: it takes 1.5 GiB of memory, and time
OPTIMISED = 3  # largest number of qualities at which symbols are optimised
FULL = 0.985  # share of the budget that is close to it
AIM = 0.993  # share of the budget that the first file with optimised symbols should use
ENOUGH = 0.9  # share of the budget that a file with optimised symbols uses at least, if one with rounded symbols can
STEEPER = 2.0  # the rate of an image grows with the quality at most this many times faster or slower than usual
TYPICAL_QUALITY = (0, 77, 153, 191, 255)  # only the start of the search for a quality:
TYPICAL_BPP = (0.002, 0.0077, 0.028, 0.043, 0.068)  # usual rates at these qualities
TYPICAL_SHARE = (0.89, 0.94, 0.983, 0.995, 1.0)  # bytes with optimised symbols, as a share of rounded; 12 COCO photos


@dataclass(frozen=True)
class Limit:
    """The size limits of a file; None means no limit.

    Attributes:
        file: largest number of bytes of the whole file.
        code: largest number of bits of the text's code alone, which mode micro limits, as in its paper.
    """

    file: int | None = None
    code: int | None = None

    def rate(self, size: tuple[int, int]) -> float | None:
        """The limit in bits per pixel of the whole file; None if there is no limit."""
        return None if self.file is None else 8 * self.file / (size[0] * size[1])


def limit_of(
    size: tuple[int, int],
    *,
    bpp: float | None = None,
    ubpp: float | None = None,
    max_bytes: int | None = None,
    quality: int | None = None,
    pixels: bool,
    of_code: bool = False,
) -> Limit:
    """The limit of a file.

    Args:
        size: width and height of the image.
        bpp, ubpp: bits per pixel of the whole file, or millionths of it.
        max_bytes: of the whole file.
        quality: of the pixel stream, 0 to 255; it means that there is no limit.
        pixels: whether the file has a pixel stream; then DEFAULT_BPP is the limit unless another is given.
        of_code: whether `ubpp` counts the bits of the text's code alone.

    Raises:
        UsageError: more than one is given, or one is out of its range.
    """
    if sum(limit is not None for limit in (bpp, ubpp, max_bytes, quality)) > 1:
        raise UsageError("give one of bpp, ubpp, bytes and quality")
    max_bytes = whole("largest number of bytes", max_bytes)
    for name, rate, unit in (("bpp", bpp, "bits per pixel"), ("ubpp", ubpp, "millionths of a bit per pixel")):
        if rate is not None and not isinstance(rate, numbers.Real):
            raise UsageError(f"{name} is a number, not {rate!r}")
        if rate is not None and not 0 <= rate <= LARGEST:
            raise UsageError(f"{name} is a number of {unit} from 0 to {LARGEST:g}, not {rate:g}")
    if max_bytes is not None and max_bytes < 0:
        raise UsageError(f"max_bytes is a number of bytes from 0 up, not {max_bytes}")
    if quality is not None and not 0 <= quality < QUALITIES:
        raise UsageError(f"the quality is between 0 and {QUALITIES - 1}, not {quality}")
    if max_bytes is not None or quality is not None:
        return Limit(file=max_bytes)
    if ubpp is not None:
        bits = math.floor(ubpp * size[0] * size[1] / MILLION)
        return Limit(code=bits) if of_code else Limit(file=bits // 8)
    if bpp is None and pixels:
        bpp = DEFAULT_BPP
    return Limit(file=None if bpp is None else math.floor(bpp * size[0] * size[1] / 8))


def best_file(code: Callable[[int, int], bytes], effort: int, budget: int, size: tuple[int, int]) -> bytes:
    """The file of the highest quality with at most `budget` bytes.

    Optimising symbols takes seconds and mostly makes a file smaller. So the quality is searched without it. Then few
    qualities are coded with it, first the one whose file will probably use the budget. If all of these files are too
    large or leave much of the budget unused, the symbols stay as they were rounded.

    Args:
        code: returns the file of a quality, 0 to 255, and an effort.
        effort: rounds in which symbols are optimised.
        size: width and height of the image.

    Raises:
        BudgetError: no file is small enough.
    """
    first, data = 0, b""
    try:
        quality, data = best_within(lambda quality: code(quality, 0), budget, size)
        share = float(np.interp(quality, TYPICAL_QUALITY, TYPICAL_SHARE))
        first = likely_quality({quality: math.log2(share * len(data) / (AIM * budget))})
    except BudgetError:
        if not effort:
            raise
    if effort:
        try:
            _, optimised = best_within(lambda quality: code(quality, effort), budget, size, first, OPTIMISED)
        except BudgetError:
            if not data:
                raise
        else:
            data = optimised if len(optimised) > ENOUGH * budget else max(optimised, data, key=len)
    return data


def best_within(
    code: Callable[[int], bytes], budget: int, size: tuple[int, int], first: int | None = None, tries: int = QUALITIES
) -> tuple[int, bytes]:
    """The highest quality whose file has at most `budget` bytes, and its file. A quality is coded at most once.

    Args:
        code: returns the file of a quality, 0 to 255.
        size: width and height of the image.
        first: quality to try first; None for a typical one.
        tries: largest number of qualities to try. If not all are tried, a file close to the budget ends the search.

    Raises:
        BudgetError: no file is small enough.
    """
    low, high = -1, QUALITIES
    guess = typical_quality(math.log2(8 * max(budget, 1) / (size[0] * size[1]))) if first is None else first
    best = data = b""
    octaves: dict[int, float] = {}
    for _ in range(tries):
        if high - low <= 1 or (tries < QUALITIES and len(best) > FULL * budget):
            break
        guess = min(max(guess, low + 1), high - 1)
        data = code(guess)
        if len(data) <= budget:
            low, best = guess, data
        else:
            high = guess
        octaves[guess] = math.log2(len(data) / max(budget, 1))
        guess = likely_quality(octaves)
    if not best:
        check_budget(len(data), budget, size)
    return low, best


def likely_quality(octaves: Mapping[int, float]) -> int:
    """The quality whose file probably has the wanted size: on the line through the two known files closest to it.

    Args:
        octaves: binary logarithm of a file's size over the wanted one, by its quality; at least one.
    """
    first, *others = sorted(octaves, key=lambda quality: abs(octaves[quality]))[:2]
    slope = 1.0
    for other in others:
        step = typical_octave(other) - typical_octave(first)
        slope = min(max((octaves[other] - octaves[first]) / step, 1 / STEEPER), STEEPER)
    return typical_quality(typical_octave(first) - octaves[first] / slope)


def typical_octave(quality: int) -> float:
    """Binary logarithm of the typical rate at a quality."""
    return float(np.interp(quality, TYPICAL_QUALITY, np.log2(TYPICAL_BPP)))


def typical_quality(octave: float) -> int:
    """Inverse of typical_octave."""
    return round(float(np.interp(octave, np.log2(TYPICAL_BPP), TYPICAL_QUALITY)))


def check_budget(least: int, budget: int | None, size: tuple[int, int]) -> None:
    """Raise BudgetError, which gives the size of the smallest file, if that exceeds the budget."""
    if budget is not None and least > budget:
        bpp = 8 * least / (size[0] * size[1])
        raise BudgetError(f"the smallest file of this image has {least} bytes ({bpp:.4f} bpp); {budget} were allowed")
