"""Probability that a text of the coder `words` ends, for each number of bits left, counted on coded texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..bits.arithmetic.range_coder import RangeDecoder
from ..bits.text.lzw import fold
from ..bits.text.words import END_LEFT, UNITS, Words, cost
from ..errors import LimitError

__all__ = ["bits_left", "end_shares"]


def bits_left(coder: Words, text: str) -> Iterator[int]:
    """Bits left before each token of a text and after the last, as the coder counts them."""
    model, text = coder.model, text if coder.keeps(text) else fold(text)
    data = coder.pack(text)
    tokens, style = model.tokens(text), int(RangeDecoder(data).decode(model.choice, 1)[0])
    left = 8 * UNITS * len(data) - cost(int(model.choice.frequencies[style]))
    tables = model.tables(model.logits(model.first(style, len(data)), tokens))
    for token, following in zip(tokens, tables, strict=True):
        yield left // UNITS
        known, place = model.vocabulary.known(token)
        left -= cost(int(model.flag(left // UNITS).frequencies[0])) + cost(int(following[known]))
        left -= cost(int(model.groups[known].frequencies[place])) if place >= 0 else 0
    yield left // UNITS


def end_shares(coder: Words, texts: Sequence[str]) -> list[int]:
    """Frequency in 256ths with which a text ends, for each number of bits left in END_LEFT, on texts of the coder."""
    ends, others = np.full(len(END_LEFT), 0.5), np.full(len(END_LEFT), 0.5)
    for text in texts:
        try:
            *passed, last = bits_left(coder, text)
        except LimitError:
            continue  # it has too many tokens
        if last in END_LEFT:
            ends[last - END_LEFT.start] += 1
        for bits in passed:
            if bits in END_LEFT:
                others[bits - END_LEFT.start] += 1
    return [int(min(255, max(1, round(256 * share)))) for share in ends / (ends + others)]
