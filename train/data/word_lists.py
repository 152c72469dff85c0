"""Texts for the coder `words`: lists of words as mode micro keeps them, and whole texts, drawn from several sources.

LMM descriptions ─┐                    ┌─► joined, weighed, shortened to a random limit ─► list of words
captions ─────────┼─► source by share ─┤
structured ───────┤                    └─► as it is, or several phrases with commas ─────► prose
English texts, phrases ─┘
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...bits.text.consonants import skeleton
from ...bits.text.description import Description
from ...micro import choose_words, weigh, words_of
from ...models.towers.importance import WordImportance
from ...synonyms import shorter_words

__all__ = ["SOURCES", "Source", "draw_list", "draw_prose", "some_of", "sources_of"]

SOURCES = ("descriptions", "structured", "captions", "texts", "phrases")
SYMBOLS = (22, 480)  # of the four-bit code: 84 to 1,830 millionths of a bit per pixel of 1024x1024
MOST_WORDS = 150  # largest number of words that are weighted for one list
SHORTER = 0.35  # share of the lists with synonyms
ALONE = 0.7  # share of the lists from structured descriptions that use only one of them
MOST_PHRASES = 7
OPENED, OPENING = 0.4, (2, 5)  # share of the phrases that follow the first words of a description, and how many

PLAIN = Description()

Weighed = tuple[list[str], list[float]]


@dataclass(frozen=True)
class Source:
    """One kind of text.

    Attributes:
        weighed: draws the words of a text and their weights.
        prose: draws a text.
        alone: share of the lists from a single text, even if more would fit.
    """

    weighed: Callable[[random.Random], Weighed]
    prose: Callable[[random.Random], str]
    alone: float = 0.0


def sources_of(
    descriptions: Sequence[str],
    structured: Sequence[Description],
    photos: Sequence[Sequence[str]],
    texts: Sequence[str],
    phrases: Sequence[str],
    importance: WordImportance,
    left_out: float = 0.0,
) -> dict[str, Source]:
    """The sources that have texts, by name.

    Args:
        descriptions: of LMMs.
        structured: descriptions with items.
        photos: captions of each photo.
        texts: short English texts.
        phrases: of a few words each; they are joined by commas.
        importance: of a text's words.
        left_out: mean share of a text's words that no list has; at most half.
    """

    def weighed(draw: random.Random, fields: Sequence[str], text: Description = PLAIN) -> Weighed:
        words = some_of(words_of(fields), left_out, draw)
        return words, weigh(text, words, importance.of(fields))

    def some_captions(draw: random.Random) -> list[str]:
        captions = draw.choice(photos)
        return draw.sample(captions, draw.randint(1, len(captions)))

    def some_phrases(draw: random.Random) -> list[str]:
        return [draw.choice(phrases) for _ in range(draw.randint(1, MOST_PHRASES))]

    def opened(draw: random.Random) -> str:
        joined = ", ".join(some_phrases(draw))
        if not descriptions or draw.random() >= OPENED:
            return joined
        return " ".join([*draw.choice(descriptions).split()[: draw.randint(*OPENING)], joined])

    sources = {
        "descriptions": Source(
            lambda draw: weighed(draw, [draw.choice(descriptions)]), lambda draw: draw.choice(descriptions)
        ),
        "structured": Source(
            lambda draw: weighed(draw, (text := draw.choice(structured)).fields(), text),
            lambda draw: "\n".join(draw.choice(structured).fields()).rstrip("\n"),
            ALONE,
        ),
        "captions": Source(
            lambda draw: weighed(draw, some_captions(draw)), lambda draw: draw.choice(draw.choice(photos))
        ),
        "texts": Source(lambda draw: weighed(draw, [draw.choice(texts)]), lambda draw: draw.choice(texts)),
        "phrases": Source(lambda draw: weighed(draw, some_phrases(draw)), opened),
    }
    there = (descriptions, structured, photos, texts, phrases)
    return {name: sources[name] for name, some in zip(SOURCES, there, strict=True) if some}


def some_of(words: list[str], left_out: float, draw: random.Random) -> list[str]:
    """The words without a random share of them, `left_out` in the mean; all if none would be left."""
    share = 2 * left_out * draw.random()
    return [word for word in words if draw.random() >= share] or words


def draw_list(source: Source, draw: random.Random) -> str:
    """A list as by mode micro: words from as many texts as fill a random limit, with single spaces."""
    symbols = round(math.exp(draw.uniform(*map(math.log, SYMBOLS))))
    alone = draw.random() < source.alone
    words: list[str] = []
    weights: list[float] = []
    while not words or (not alone and len(words) < MOST_WORDS and len(" ".join(map(skeleton, words))) < symbols):
        more = source.weighed(draw)
        words, weights = words + more[0], weights + more[1]
    shorter = shorter_words() if draw.random() < SHORTER else None
    return " ".join(choose_words(words, weights, symbols, shorter))


def draw_prose(source: Source, draw: random.Random) -> str:
    """A whole text."""
    return source.prose(draw)
