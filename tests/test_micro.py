"""Mode micro: words by their importance fill a number of bits."""

from __future__ import annotations

import pytest
from PIL import Image

from misc.bits.text.consonants import skeleton, skeletons
from misc.bits.text.description import MAX_SKELETONS, Description, Item
from misc.bits.text.lzw import fold
from misc.codec import Codec
from misc.errors import BudgetError, WeightsError
from misc.micro import FILL, choose_words, rarities, skeleton_text, weigh
from misc.models.towers.importance import WordImportance
from misc.profiles import load_profile
from misc.synonyms import shorter_words

HARBOUR = Description(
    "a white lighthouse stands on a rocky cliff above the grey sea while three small fishing boats with red sails "
    "return to the old stone harbour under heavy clouds in the late afternoon and people wait on the wooden pier",
    (
        Item("lighthouse", "tall white tower with a red lantern room and narrow windows"),
        Item("fishing boats", "wooden hulls painted blue, patched sails, nets hanging over the side"),
        Item("harbour", "curved granite wall, iron rings, ladders, crates of silver herring"),
        Item("pier", "weathered planks on thick posts covered with mussels and green weed"),
        Item("clouds", "dark grey, low, with a bright yellow gap near the western horizon"),
        Item(
            "people",
            "women in long dresses, children holding baskets, one man waving his hat, gulls circling overhead, dogs "
            "barking beside coiled ropes and painted buoys",
        ),
    ),
)


def code(text: Description, symbols: int | None) -> str:
    return skeleton_text(text, symbols, rarities(load_profile().small_language_model.sound_path())).overall


@pytest.mark.parametrize("ubpp", [100, 200, 500, 1000, 1800])
def test_the_bits_are_filled_from_below(ubpp: int) -> None:
    bits = ubpp * 1024 * 1024 / 1e6
    image = Image.new("RGB", (1024, 1024))
    data = Codec().encode(image, mode="micro", ubpp=ubpp, description=HARBOUR, seed=0, reflect=0)
    text = Codec().streams(data).text
    assert text is not None
    assert text.consonants
    assert 0.98 * bits <= 4 * len(text.overall) <= bits
    assert len(data) <= 9 + (4 * len(text.overall) + 7) // 8


@pytest.mark.parametrize("symbols", range(20, 400, 37))
def test_every_limit_is_kept_and_filled(symbols: int) -> None:
    assert FILL * symbols <= len(code(HARBOUR, symbols)) <= symbols


def test_names_come_first_and_stop_words_last() -> None:
    names = skeletons("lighthouse fishing boats harbour pier clouds people").split()
    few = code(HARBOUR, 36).split()
    assert len(set(few) & set(names)) >= 5
    most = code(HARBOUR, 330).split()
    assert set(names) <= set(most)
    assert len({"n", "th", "wth", "nd", "t"} & set(most)) < 5
    everything = skeletons(" ".join(HARBOUR.fields()))
    assert code(HARBOUR, len(everything)) == code(HARBOUR, None) == everything


def test_weights() -> None:
    text = Description("the dog and the heron", (Item("dog", "brown"),))
    words = ["the", "dog", "and", "the", "heron", "dog", "brown"]
    the, dog, _, again, heron, twice, brown = weigh(text, words, {"dog": 0.5, "heron": 0.9, "brown": 0.2, "the": 1.0})
    assert dog > heron > brown > the > twice > again
    assert weigh(text, words, {}, missing={"heron", "dog"})[1::3] == [8.0, 4.0]


def test_words_are_the_best_of_all_sets() -> None:
    words, weights = ["bat", "heron", "red", "stone", "in"], [4.0, 8.0, 4.5, 5.0, 0.5]
    assert choose_words(words, weights, 100) == words
    assert choose_words(words, weights, 6) == ["heron", "red"]
    assert choose_words(words, weights, 3) == ["heron"]
    assert choose_words(words, weights, 1) == ["in"]
    assert choose_words(words, weights, 0) == []


def test_of_two_that_do_not_fit_together_the_long_word_stays() -> None:
    assert [skeleton(word) for word in ("cat", "lighthouse")] == ["ct", "lghths"]
    for words in (["cat", "lighthouse"], ["lighthouse", "cat"]):
        assert choose_words(words, [4.0, 4.0], 8) == ["lighthouse"], "neither fills the limit"


def test_the_order_is_the_texts() -> None:
    kept = code(HARBOUR, 60).split()
    words = fold(" ".join(HARBOUR.fields())).split()
    rest = iter([{skeleton(word), skeleton(shorter_words().get(word, word))} for word in words])
    assert all(any(word in forms for forms in rest) for word in kept)


def test_as_many_words_as_a_text_may_have() -> None:
    long = Description(" ".join(["no"] * 64), tuple(Item("no " * 63 + "no") for _ in range(8)))
    text = skeleton_text(long, None, {})
    assert len(text.overall.split()) == MAX_SKELETONS


def test_too_few_bits_for_a_word_are_said() -> None:
    with pytest.raises(BudgetError, match="shortest word has 4 bits; 3 were allowed"):
        Codec().encode(Image.new("RGB", (64, 64)), mode="micro", ubpp=3e6 / 64**2, description=HARBOUR)


def test_without_a_text_tower_words_are_chosen_by_rarity_and_this_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    codec = Codec(notice=told.append)

    def missing(self: WordImportance, fields: object) -> None:
        raise WeightsError("the text tower is missing: `misc pull`")

    monkeypatch.setattr(WordImportance, "__init__", lambda self, embed: None)
    monkeypatch.setattr(WordImportance, "of", missing)
    image = Image.new("RGB", (1024, 1024))
    data = codec.encode(image, mode="micro", ubpp=200, description=HARBOUR, reflect=0)
    text = codec.streams(data).text
    assert text is not None
    assert text.overall == code(HARBOUR, 200 * 1024 * 1024 // 1000000 // 4)
    assert told == ["words are chosen by their rarity, not by their meaning: the text tower is missing: `misc pull`"]
    others = {word for field in HARBOUR.fields() for word in fold(field).split()}
    monkeypatch.setattr(WordImportance, "of", lambda self, fields: dict.fromkeys(others, 1e-9) | {"herring": 1.0})
    data = codec.encode(image, mode="micro", ubpp=50, description=HARBOUR, reflect=0)
    assert "hrng" in codec.streams(data).text.overall.split()  # type: ignore[union-attr]
    told.clear()
    codec.encode(image, mode="micro", ubpp=200, description=Description("a dog"), reflect=0)
    assert told == [], "all words fit"
