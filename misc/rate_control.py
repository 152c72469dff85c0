"""Rate control: the limit of a file, and the best file within it.

bpp or bytes ─► budget ─┬─► quality of the pixel stream, by bracketing along the usual curve of rates
                        └─► words of mode micro, the most important first
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .bits.text.consonants import bits, choose, skeletons
from .bits.text.description import MAX_WORDS, Description
from .errors import BudgetError, InputError

__all__ = ["DEFAULT_BPP", "best_within", "budget_of", "check_budget", "choose_skeletons"]

DEFAULT_BPP = 0.024
QUALITIES = 256
TYPICAL_QUALITY = (0, 77, 153, 191, 255)  # where the search for a quality looks first, and no more than that:
TYPICAL_BPP = (0.0025, 0.008, 0.021, 0.029, 0.044)  # usual rates at these qualities


def budget_of(
    size: tuple[int, int], *, bpp: float | None, max_bytes: int | None, quality: int | None, pixels: bool
) -> int | None:
    """Bytes that a file may have, at most; None if there is no limit.

    Args:
        size: width and height of the image. bpp: bits of the whole file a pixel. max_bytes: of the whole file.
        quality: of the pixel stream, 0 to 255, which stands for no limit.
        pixels: whether the file has a pixel stream; then DEFAULT_BPP is the limit unless another is given.

    Raises:
        InputError: more than one is given, or one is out of its range.
    """
    if sum(limit is not None for limit in (bpp, max_bytes, quality)) > 1:
        raise InputError("give one of bpp, max_bytes and quality")
    if bpp is not None and not 0 <= bpp < math.inf:
        raise InputError(f"bpp is a number of bits a pixel from 0 up, not {bpp}")
    if max_bytes is not None and max_bytes < 0:
        raise InputError(f"max_bytes is a number of bytes from 0 up, not {max_bytes}")
    if quality is not None and not 0 <= quality < QUALITIES:
        raise InputError(f"the quality is between 0 and {QUALITIES - 1}, not {quality}")
    if bpp is None and max_bytes is None and quality is None and pixels:
        bpp = DEFAULT_BPP
    return max_bytes if bpp is None else math.floor(bpp * size[0] * size[1] / 8)


def best_within(code: Callable[[int], bytes], budget: int, size: tuple[int, int]) -> bytes:
    """The file of the highest quality that has at most `budget` bytes; every quality that is tried is coded once.

    Args:
        code: gives the file of a quality, 0 to 255. size: width and height of the image.

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
        check_budget(len(data), budget, size)
    return best


def typical_octave(quality: int) -> float:
    """Binary logarithm of the usual rate at a quality."""
    return float(np.interp(quality, TYPICAL_QUALITY, np.log2(TYPICAL_BPP)))


def typical_quality(octave: float) -> int:
    """Inverse of typical_octave."""
    return round(float(np.interp(octave, np.log2(TYPICAL_BPP), TYPICAL_QUALITY)))


def check_budget(least: int, budget: int | None, size: tuple[int, int]) -> None:
    """Raise BudgetError, which names the bytes of the smallest file, if they are more than the budget."""
    if budget is not None and least > budget:
        bpp = 8 * least / (size[0] * size[1])
        raise BudgetError(f"the smallest file of this image has {least} bytes ({bpp:.4f} bpp); {budget} were allowed")


def choose_skeletons(text: Description, empty: int, budget: int | None, size: tuple[int, int]) -> Description:
    """The skeletons of the text's words that matter most and fit into the budget, at most 64.

    Args:
        empty: bytes of the file without a word. budget: bytes of the file; None for no limit.
        size: width and height of the image.

    Raises:
        InputError: no word has a skeleton. BudgetError: none fits.
    """
    words = " ".join(text.fields())
    each = skeletons(words).split()
    if not each:
        raise InputError("mode micro keeps consonants from b to w, and this text has none")
    check_budget(empty + min(bits([word]) for word in each) // 8, budget, size)
    kept = each if budget is None else skeletons(choose(words, 8 * (budget - empty))).split()
    return Description(" ".join(kept[:MAX_WORDS]), consonants=True)
