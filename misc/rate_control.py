"""The best file within a budget of bytes, by few codings: bracketing along the usual curve of rates."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .errors import BudgetError

__all__ = ["best_within", "shortfall"]

QUALITIES = 256
TYPICAL_QUALITY = (0, 77, 153, 191, 255)  # where the search for a quality looks first, and no more than that:
TYPICAL_BPP = (0.0025, 0.008, 0.021, 0.029, 0.044)  # usual rates at these qualities


def best_within(code: Callable[[int], bytes], budget: int, size: tuple[int, int]) -> bytes:
    """The file of the highest quality that has at most `budget` bytes.

    Args:
        code: gives the file of a quality, 0 to 255. size: width and height of the picture.

    Raises:
        BudgetError: the file of the lowest quality is larger.
    """
    low, high = -1, QUALITIES
    guess = typical_quality(math.log2(8 * max(budget, 1) / (size[0] * size[1])))
    best = data = b""
    while high - low > 1:
        guess = min(max(guess, low + 1), high - 1)
        data = code(guess)
        if len(data) <= budget:
            low, best = guess, data
        else:
            high = guess
        guess = typical_quality(typical_octave(guess) + math.log2(max(budget, 1) / len(data)))
    if not best:
        raise BudgetError(shortfall(len(data), budget, size))
    return best


def typical_octave(quality: int) -> float:
    """Binary logarithm of the usual rate at a quality."""
    return float(np.interp(quality, TYPICAL_QUALITY, np.log2(TYPICAL_BPP)))


def typical_quality(octave: float) -> int:
    """Inverse of typical_octave."""
    return round(float(np.interp(octave, np.log2(TYPICAL_BPP), TYPICAL_QUALITY)))


def shortfall(least: int, budget: int, size: tuple[int, int]) -> str:
    """What to say of a budget that cannot be met."""
    bpp = 8 * least / (size[0] * size[1])
    return f"the smallest file of this picture has {least} bytes ({bpp:.4f} bpp); {budget} were allowed"
