"""A text tower without weights: a text's vector is the mean of its words' random ones."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from misc.bits.text.lzw import fold

WIDTH = 64


class ToyTextTower:
    """Vectors of texts; words in the same group of `synonyms` have nearly the same vector."""

    device = torch.device("cpu")

    def __init__(self, *synonyms: set[str]) -> None:
        self.synonyms = {word: "".join(sorted(group)) for group in synonyms for word in group}

    def vector(self, word: str) -> NDArray[np.float64]:
        """(WIDTH,) of a word."""
        own = np.random.default_rng(zlib.crc32(word.encode())).normal(size=WIDTH)
        if word not in self.synonyms:
            return own
        return np.random.default_rng(zlib.crc32(self.synonyms[word].encode())).normal(size=WIDTH) + 0.1 * own

    def embed(self, texts: Sequence[str]) -> torch.Tensor:
        """(texts, WIDTH) float, each of length 1."""
        vectors = np.stack([np.mean([self.vector(word) for word in fold(text).split() or [""]], 0) for text in texts])
        return torch.from_numpy(vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).float()
