"""Mode micro: choose the words of a text that a file keeps, as a knapsack problem over their skeletons.

    Description ─► words with weights ─► knapsack of as many four-bit symbols as the limit allows ─► skeletons

A skeleton is a word without its vowels. Semantic compression at micro-bits (arXiv 2402.13536) keeps the important
words. Here the weight of a word is its importance for the text's meaning (`misc.models.towers.importance`). Without a
text tower, it is the word's rarity, by the order of a language model's vocabulary. An item's name has more weight, and
a stop word or a repeated word far less. The value of a word is its weight times its length, so that short words are not
preferred. Words keep their order. Sets of words that fill the limit to FILL are preferred to all others. If not all
words fit, a synonym with fewer consonants (`misc.synonyms`) has the same value at a lower cost.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .bits.text.consonants import STOP_WORDS, skeleton, skeletons
from .bits.text.description import MAX_LETTERS, MAX_SKELETONS, Description
from .bits.text.language_model import load_model
from .bits.text.lzw import fold
from .errors import InputError, WeightsError
from .synonyms import shorter_words

if TYPE_CHECKING:
    from .models.semantics import Semantics

__all__ = ["FILL", "choose_words", "importance_of", "least_symbols", "rarities", "skeleton_text", "weigh", "words_of"]

FILL = 0.98  # least share of the limit that the words should fill, if possible
NAME, STOP, REPEATED = 2.0, 0.05, 0.03  # factors for the weight of a word
EMPHASIS = 4.0  # factor for the weight of a word that was missing in the drawn image
USUAL = 0.5  # rarity of the most usual word


def skeleton_text(
    text: Description, symbols: int | None, importance: Mapping[str, float], missing: Collection[str] = ()
) -> Description:
    """The skeletons of the text's words that matter most.

    Args:
        symbols: largest number of four-bit symbols, with spaces; None for the format's limit.
        importance: of each word, above 0; 1 for a word that it lacks.
        missing: words with a higher weight.
    """
    words = words_of(text.fields())
    kept = choose_words(words, weigh(text, words, importance, missing), symbols, shorter_words())
    return Description(" ".join(map(skeleton, kept[:MAX_SKELETONS])), consonants=True)


def words_of(fields: Sequence[str]) -> list[str]:
    """The words of fields that have a skeleton, in their order."""
    return [word for field in fields for word in fold(field).split() if skeleton(word)]


def least_symbols(text: Description) -> int:
    """Symbols of the text's shortest word.

    Raises:
        InputError: no word has a skeleton.
    """
    words = skeletons(" ".join(text.fields())).split()
    if not words:
        raise InputError("mode micro keeps consonants from b to w, and this text has none")
    return min(map(len, words))


def weigh(
    text: Description, words: list[str], importance: Mapping[str, float], missing: Collection[str] = ()
) -> list[float]:
    """The weight per symbol of each word; arguments as in `skeleton_text`."""
    names = {word for item in text.items for word in fold(item.name).split()}
    weights: list[float] = []
    known: set[str] = set()
    for word in words:
        weight = importance.get(word, 1.0)
        if word in known:
            weight *= REPEATED
        elif word in missing:
            weight *= EMPHASIS
        if word in STOP_WORDS:
            weight *= STOP
        elif word in names:
            weight *= NAME
        weights.append(weight)
        known.add(word)
    return weights


def choose_words(
    words: list[str], weights: list[float], symbols: int | None, shorter: Mapping[str, str] | None = None
) -> list[str]:
    """The words that fit with the largest sum of weight times length, in their order, some replaced by synonyms.

    Args:
        words: each has a skeleton.
        weights: weight per symbol of each word, above 0.
        symbols: largest number, with a space between two words; None for the format's limit.
        shorter: word to a synonym with fewer symbols and the same value.
    """
    room = 1 + (MAX_LETTERS if symbols is None else min(symbols, MAX_LETTERS))  # the last word has no space after it
    if sum(map(symbols_of, words)) <= room:
        return words
    forms = [list(dict.fromkeys((word, (shorter or {}).get(word, word)))) for word in words]
    best = np.full(room + 1, -math.inf)
    best[0] = 0.0
    taken = np.zeros((len(words), room + 1), np.int8)  # 0: not taken; k: taken in form k
    for k, weight in enumerate(weights):
        worth = weight * symbols_of(words[k])
        without = best.copy()
        for number, form in enumerate(forms[k], 1):
            cost = symbols_of(form)
            if cost > room:
                continue
            more = without[:-cost] + worth
            better = more > best[cost:]
            taken[k, cost:][better] = number
            best[cost:][better] = more[better]
    filled = math.ceil(FILL * (room - 1)) + 1
    left = filled + int(best[filled:].argmax()) if best[filled:].max(initial=-math.inf) > 0 else int(best.argmax())
    kept: list[str] = []
    for k in reversed(range(len(words))):
        if taken[k, left]:
            kept.append(forms[k][taken[k, left] - 1])
            left -= symbols_of(kept[-1])
    return kept[::-1]


def symbols_of(word: str) -> int:
    """Symbols of a word and of the space after it."""
    return len(skeleton(word)) + 1


def importance_of(semantics: Semantics, notice: Callable[[str], None], text: Description) -> Mapping[str, float]:
    """The importance of each word for the text's meaning; without a text tower its rarity, with a notice.

    Raises:
        WeightsError: the small language model is missing or damaged too.
    """
    try:
        return semantics.word_importance.of(text.fields())
    except WeightsError as error:
        notice(f"words are chosen by their rarity, not by their meaning: {error}")
        return rarities(semantics.profile.small_language_model.sound_path())


@functools.cache
def rarities(path: Path) -> Mapping[str, float]:
    """Importance of words without a text tower: USUAL to 1 by rank in a language model's vocabulary, usual words first.

    Args:
        path: of the model's file.

    Raises:
        WeightsError: the file is missing or damaged.
    """
    tokens = list(load_model(path).vocabulary.texts())
    rarity: dict[str, float] = {}
    for place, (_, text) in enumerate(tokens):
        rarity.setdefault(text.removeprefix(" "), USUAL + (1 - USUAL) * place / len(tokens))
    return rarity
