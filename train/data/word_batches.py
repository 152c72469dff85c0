"""Batches of texts for the coder `words`: tokens of lists and prose, as its network reads them.

source by share ─► list or prose ─► the style's token, then the network's tokens of the text ─► rows of similar length
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ...bits.text.consonants import skeletons
from ...bits.text.word_pieces import WordPieces
from ...models.language_model.words import BOUNDS, LINE, LISTS, PROSE
from .word_lists import SOURCES, Source, draw_list, draw_prose

__all__ = ["NOTHING", "Mixture", "batches", "draw_text", "known_tokens", "list_token"]

NOTHING = -1  # after a text's end
POOL = 300  # texts that are sorted by length
BYTES_A_SYMBOL = 0.31  # bytes per symbol of the four-bit code: about 62 % of that code's size
UNSURE = 0.15  # relative standard deviation of that


@dataclass(frozen=True)
class Mixture:
    """The distribution of texts.

    Attributes:
        lists: share of the texts that are lists.
        shares: of each of SOURCES among the texts.
        tokens: approximate number of tokens of a batch.
        longest: largest number of tokens of a text; the rest is cut off.
    """

    lists: float
    shares: tuple[float, ...]
    tokens: int
    longest: int


def batches(sources: dict[str, Source], vocabulary: WordPieces, mixture: Mixture, seed: int) -> Iterator[Tensor]:
    """Endless (texts, longest) tokens of texts of similar length, each after its style's token and padded with NOTHING.

    Args:
        sources: texts by source; a missing source has no share.
        vocabulary: of the tokens.
        mixture: of texts.
        seed: of the random choices.
    """
    draw = random.Random(seed)
    while True:
        pool = [draw_tokens(sources, vocabulary, mixture, draw) for _ in range(POOL)]
        pool.sort(key=lambda text: len(text) + 6 * draw.random())
        parts: list[list[list[int]]] = [[]]
        for text in pool:
            if parts[-1] and max(len(text), *map(len, parts[-1])) * (len(parts[-1]) + 1) > mixture.tokens:
                parts.append([])
            parts[-1].append(text)
        draw.shuffle(parts)
        for part in parts:
            most = max(map(len, part))
            yield torch.tensor([text + [NOTHING] * (most - len(text)) for text in part])


def draw_text(sources: dict[str, Source], mixture: Mixture, draw: random.Random) -> tuple[str, str]:
    """A style's token, and a text in it."""
    shares = {name: share for name, share in zip(SOURCES, mixture.shares, strict=True) if name in sources}
    source = sources[draw.choices(list(shares), list(shares.values()))[0]]
    is_list = draw.random() < mixture.lists
    return (list_token(text := draw_list(source, draw), draw), text) if is_list else (PROSE, draw_prose(source, draw))


def list_token(text: str, draw: random.Random) -> str:
    """The token before a list, by its expected number of bytes."""
    size = BYTES_A_SYMBOL * len(skeletons(text)) * math.exp(draw.gauss(0, UNSURE))
    return LISTS[bisect_left(BOUNDS, size)]


def draw_tokens(sources: dict[str, Source], vocabulary: WordPieces, mixture: Mixture, draw: random.Random) -> list[int]:
    """The style's token and the network's tokens of a random text."""
    style, text = draw_text(sources, mixture, draw)
    return known_tokens(vocabulary, style, text)[: mixture.longest]


def known_tokens(vocabulary: WordPieces, style: str, text: str) -> list[int]:
    """The network's input for a text: the token of its style, and its own tokens."""
    tokens = [vocabulary.number(style)]
    for i, line in enumerate(text.split("\n")):
        tokens += [vocabulary.number(LINE)] * (i > 0)
        tokens += [vocabulary.known(token)[0] for token in vocabulary.encode(line)]
    return tokens
