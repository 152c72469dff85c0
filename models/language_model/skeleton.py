"""Consonant skeletons back to words: candidates from the vocabulary, ranked by the exact language model.

    "wmn rds hrs" ─► candidates of each skeleton, the most frequent first ─► beam search ─► "woman rides a horse"

Candidates are whole words of the vocabulary, which is sorted by frequency. The word "a" has no skeleton; it is inserted
where the model finds it likely. A skeleton without candidates stays as it is.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...bits.arithmetic.transformer import Cache
from ...bits.text.consonants import skeleton
from ...bits.text.description import MAX_LETTERS, MAX_WORDS, Description
from ...bits.text.language_model import Model, load_model

__all__ = ["Lexicon", "expand", "expand_description", "expand_line", "word_accuracy"]

CAPTIONS_PREFIX = 0
WORDS_OF_SKELETON = 48  # candidates of one skeleton, the most frequent ones


class Lexicon:
    """Whole words of a model's vocabulary by skeleton, at most WORDS_OF_SKELETON of each.

    Attributes:
        first, later: skeleton to (token, word) of words that begin a text and of words after a space.
        frequency: word to a number that decreases with its rank.
    """

    def __init__(self, model: Model) -> None:
        self.first: dict[str, list[tuple[int, str]]] = defaultdict(list)
        self.later: dict[str, list[tuple[int, str]]] = defaultdict(list)
        self.frequency: dict[str, float] = {}
        for token, text in model.vocabulary.texts():
            word = text.removeprefix(" ")
            if not (word.isascii() and word.isalpha() and word.islower()) or (len(word) == 1 and word not in "ai"):
                continue
            group = (self.later if text.startswith(" ") else self.first)[skeleton(word)]
            if len(group) < WORDS_OF_SKELETON:
                group.append((token, word))
            self.frequency.setdefault(word, 1.0 / (1 + token))


@dataclass(frozen=True)
class Hypothesis:
    """A partial text: its log probability, its words, and the model's state after it."""

    score: float
    words: tuple[str, ...]
    cache: Cache
    logits: npt.NDArray[np.float64]

    def shares(self) -> npt.NDArray[np.float64]:
        """Log probabilities of the next token."""
        shifted = self.logits - self.logits.max()
        return np.asarray(shifted - np.log(np.exp(shifted).sum()))

    def with_tokens(self, model: Model, tokens: list[int], word: str, score: float) -> Hypothesis:
        cache = self.cache.copy(len(tokens))
        logits = model.transformer(tokens, cache)[-1]
        return Hypothesis(score, (*self.words, word), cache, logits)


def expand(line: str, model: Model, lexicon: Lexicon, beam: int = 4) -> str:
    """Words for skeletons that are separated by spaces.

    Args:
        beam: number of hypotheses kept after every word; the time grows with it.
    """
    start = model.prefixes[CAPTIONS_PREFIX]
    kept = [Hypothesis(0.0, (), start.cache, start.logits)]
    article = model.vocabulary.number(" a")
    for bones in line.split():
        extensions: list[tuple[float, Hypothesis, list[int], str]] = []
        for hypothesis in kept:
            table = lexicon.later if hypothesis.words else lexicon.first
            candidates = table.get(bones) or lexicon.later.get(bones)
            if not candidates:
                extensions.append((hypothesis.score, hypothesis, model.vocabulary.encode(f" {bones}"), bones))
                continue
            shares = hypothesis.shares()
            extensions += [(hypothesis.score + float(shares[t]), hypothesis, [t], word) for t, word in candidates]
            if hypothesis.words and hypothesis.words[-1] != "a":
                score = hypothesis.score + float(shares[article])
                behind = hypothesis.with_tokens(model, [article], "a", score)
                more = behind.shares()
                extensions += [(score + float(more[t]), behind, [t], word) for t, word in candidates]
        extensions.sort(key=lambda each: -each[0])
        kept = [before.with_tokens(model, tokens, word, score) for score, before, tokens, word in extensions[:beam]]
    return " ".join(kept[0].words)


def expand_description(text: Description, path: Path) -> Description:
    """The description in words; unchanged if it holds words already.

    Args:
        path: of the language model's file.

    Raises:
        WeightsError: the model is missing.
    """
    if not text.consonants:
        return text
    words = expand_line(text.overall, path).split()[:MAX_WORDS]
    while len(" ".join(words)) > MAX_LETTERS:
        words.pop()
    return Description(" ".join(words))


@functools.lru_cache(maxsize=64)  # an encoder needs the words of one line several times, and each time takes seconds
def expand_line(line: str, path: Path) -> str:
    """As `expand`, with the language model in a file; WeightsError if it is missing."""
    return expand(line, *load_lexicon(path))


@functools.cache
def load_lexicon(path: Path) -> tuple[Model, Lexicon]:
    """A language model and its words by skeleton."""
    model = load_model(path)
    return model, Lexicon(model)


def word_accuracy(original: str, expanded: str) -> float:
    """The share of the original's words with a skeleton that are recovered at their position."""
    pairs = [[word for word in text.lower().split() if skeleton(word)] for text in (original, expanded)]
    hits = sum(int(a == b) for a, b in zip(pairs[0], pairs[1], strict=False))
    return hits / max(1, len(pairs[0]))
