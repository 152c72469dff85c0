"""The importance of a text's words."""

from __future__ import annotations

import numpy as np
import pytest

from misc.models.semantics import Semantics
from misc.models.towers.importance import LEAST, SAID, WordImportance, distinct_words, sentences_of
from misc.profiles import load_profile
from tests.support.toy_text_tower import ToyTextTower

PULLED = load_profile().packages["minilm"].path.is_file()
DOG = (
    "This image depicts a golden retriever that leaps over a wooden fence. The overall atmosphere is one of joy, and "
    "the composition draws the viewer's eye to the dog. Behind it, a meadow shimmers."
)


def toy(*synonyms: set[str]) -> WordImportance:
    tower = ToyTextTower(*synonyms)
    return WordImportance(lambda texts: tower.embed(texts).numpy())


def test_sentences_and_words() -> None:
    assert sentences_of(["A dog. It runs!\nWhy? ", "", "4.5 m high"]) == ["A dog.", "It runs!", "Why?", "4.5 m high"]
    assert distinct_words(["A dog's café", "the DOG"]) == ["a", "dog", "s", "cafe", "the"]


def test_a_word_of_every_sentence_matters_most() -> None:
    found = toy().of(["heron wades here", "heron fishes there", "heron sleeps now"])
    assert list(found) == ["heron", "wades", "here", "fishes", "there", "sleeps", "now"]
    assert max(found, key=found.__getitem__) == "heron"
    assert all(SAID * LEAST <= each <= 1 for each in found.values())


def test_a_long_sentence_counts_as_much_as_a_short_one() -> None:
    found = toy().of(["heron", " ".join(f"word{chr(97 + k)}" for k in range(26))])
    assert found["heron"] > 1.3 * max(found[word] for word in found if word != "heron")


def test_of_two_words_with_the_same_meaning_one_matters() -> None:
    fields = ["puppy wades here", "dog fishes there"]
    apart, together = toy().of(fields), toy({"puppy", "dog"}).of(fields)
    assert min(apart["puppy"], apart["dog"]) > 0.5 * max(apart["puppy"], apart["dog"])
    assert min(together["puppy"], together["dog"]) < 1.5 * SAID * max(together["puppy"], together["dog"])


def test_what_every_description_says_matters_less() -> None:
    found = toy().of(["image heron"])
    assert found["image"] < found["heron"] - 0.03


def test_a_text_without_words_has_none() -> None:
    assert toy().of([]) == toy().of(["", "12 + 3"]) == {}
    assert list(toy().of(["x"])) == ["x"]


@pytest.mark.skipif(not PULLED, reason="the text tower is not here: `misc pull`")
def test_the_subject_is_kept_and_what_every_description_says_is_not() -> None:
    found = Semantics(load_profile()).word_importance.of([DOG])
    first = sorted(found, key=lambda word: -found[word])[:6]
    assert {"dog", "fence", "golden"} <= set(first), first
    assert not {"image", "depicts", "overall", "composition", "atmosphere", "viewer"} & set(first), first
    assert found == Semantics(load_profile()).word_importance.of([DOG])
    assert np.isfinite(list(found.values())).all()
