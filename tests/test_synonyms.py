"""Shorter words of mode micro."""

from __future__ import annotations

import pytest

from misc.bits.text.consonants import STOP_WORDS, skeleton
from misc.bits.text.description import Description, Item
from misc.bits.text.lzw import fold
from misc.eval.synonyms import FIRST, gain, place_of
from misc.micro import FILL, choose_words, skeleton_text
from misc.models.language_model.skeleton import load_lexicon
from misc.profiles import load_profile
from misc.synonyms import SYNONYMS_FILE, shorter_words

PAIRS = shorter_words()


def test_each_pair_is_two_words_and_the_second_has_fewer_consonants() -> None:
    assert len(PAIRS) >= 200
    for word, shorter in PAIRS.items():
        assert fold(word) == word
        assert fold(shorter) == shorter
        assert " " not in word + shorter
        assert 0 < len(skeleton(shorter)) < len(skeleton(word)), word


def test_a_shorter_word_is_not_shortened_again() -> None:
    assert not set(PAIRS.values()) & set(PAIRS)
    assert not set(PAIRS) & STOP_WORDS - {"through"}


def test_the_file_is_in_order_and_names_no_word_twice() -> None:
    words = [line.split()[0] for line in SYNONYMS_FILE.read_text().splitlines() if " = " in line]
    assert words == sorted(set(words))
    assert len(words) == len(PAIRS)


def test_a_shorter_word_returns_from_its_consonants() -> None:
    large = load_profile().language_model
    if not large.path.is_file():
        pytest.skip("lm-large is not here: `misc pull`")
    lexicon = load_lexicon(large.sound_path())[1]
    for word in PAIRS.values():
        place = place_of(word, lexicon)
        assert place is not None, word
        assert place <= FIRST, word


def test_a_synonym_stands_where_the_word_has_no_room_beside_the_others() -> None:
    words, weights, pairs = ["bicycle", "heron"], [4.0, 4.0], {"bicycle": "bike"}
    assert choose_words(words, weights, 8, pairs) == words
    assert choose_words(words, weights, 6, pairs) == ["bike", "heron"]
    assert choose_words(words, weights, 6) == ["bicycle"]  # "bccl" and a space more than "hrn" are worth
    assert choose_words(words, weights, 2, pairs) == ["bike"]


def test_micro_writes_synonyms_within_its_limit_and_nothing_else_than_words_or_synonyms() -> None:
    text = Description(
        "two children riding a bicycle near an enormous airplane under peaceful twilight clouds",
        (Item("photograph", "elderly policeman watching"),),
    )
    whole = skeleton_text(text, None, {}).overall.split()
    short = {skeleton(PAIRS.get(word, word)) for field in text.fields() for word in fold(field).split()}
    for symbols in range(20, 60, 5):
        kept = skeleton_text(text, symbols, {}).overall
        assert FILL * symbols <= len(kept) + 1 <= symbols + 1
        assert set(kept.split()) <= short | set(whole)
    assert skeleton("kids") in skeleton_text(text, 40, {}).overall.split()


def test_the_gain_counts_words_and_changed_texts() -> None:
    words = ["bicycle", "airplane", "heron", "enormous", "photograph", "stone"]
    figures = gain([(words, [4.0] * 6), (["heron", "street"] * 4, [4.0] * 8)], 100)
    assert figures["texts"] == 2
    assert figures["changed"] == 0.5
    assert figures["with"] > figures["words"]
