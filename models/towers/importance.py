"""The importance of a text's words, by MiniLM: how much of the text's meaning a word has alone.

    text ─► sentences ─► mean vector ─► less that of any description ─┐
    words ─► vector of each ──────────────────────────────────────────┴─► cosine ─► {word: importance}

A description often begins with "this image depicts": such words are close to every description, and so say little. Of
words with nearly the same meaning ("dog", "puppy") one is enough, so the others are less important.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ...bits.text.lzw import fold

__all__ = ["Embed", "WordImportance", "distinct_words", "sentences_of"]

Embed = Callable[[Sequence[str]], NDArray[np.float32]]  # texts -> (texts, width), each of length 1

ANY_DESCRIPTION = (
    "An image.",
    "This image depicts a scene.",
    "The picture shows something.",
    "A photo that features a visually striking composition, creating an atmosphere.",
    "The illustration portrays an overall sense of mood.",
)
COMMON = 0.3  # share of the cosine with any description that is subtracted
SAME = 0.7  # cosine above which two words have nearly the same meaning
SAID = 0.1  # factor for the importance of a word if a more important one has the same meaning
LEAST = 0.01
SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n")


class WordImportance:
    """The importance of words by a text tower.

    Args:
        embed: gives the vectors of texts, as `misc.models.towers.text_features.TextTower.embed`.
    """

    def __init__(self, embed: Embed) -> None:
        self.embed = embed
        self.common = COMMON * direction(embed(ANY_DESCRIPTION))

    def of(self, fields: Sequence[str]) -> dict[str, float]:
        """The importance of every word of a text, 0.001 to 1; a word is one of `misc.bits.text.lzw.fold`.

        Args:
            fields: the text in parts, as `misc.bits.text.description.Description.fields`. Each sentence has the same
                weight, because the tower reads only the first 64 tokens of a text.
        """
        sentences, words = sentences_of(fields), distinct_words(fields)
        if not words:
            return {}
        vectors = self.embed([*sentences, *words])
        meanings = vectors[len(sentences) :]
        importance = np.maximum(meanings @ (direction(vectors[: len(sentences)]) - self.common), LEAST)
        order = np.argsort(-importance, kind="stable")
        alike = np.tril(meanings[order] @ meanings[order].T > SAME, -1)  # to a more important word
        importance[order[alike.any(1)]] *= SAID
        return dict(zip(words, importance.tolist(), strict=True))


def sentences_of(fields: Sequence[str]) -> list[str]:
    """The sentences of fields, in their order."""
    return [part for field in fields for part in SENTENCE_END.split(field) if part.strip()]


def distinct_words(fields: Sequence[str]) -> list[str]:
    """The words of fields, each once."""
    return list(dict.fromkeys(word for field in fields for word in fold(field).split()))


def direction(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """(width,) the mean of vectors (N, width), scaled to length 1."""
    mean: NDArray[np.float32] = vectors.mean(0)
    return mean / max(float(np.linalg.norm(mean)), 1e-9)
