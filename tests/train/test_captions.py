"""What captions say: items with details, differences, halves of the descriptions."""

from misc.bits.text.description import Item
from misc.train.data.noun_phrases import describe_captions, difference, lemma, nouns, tidy
from misc.train.data.texts import held_out_half, training_half
from tests.train.captioned import CAPTIONS


def test_descriptions_from_captions() -> None:
    found = describe_captions(CAPTIONS)
    assert found.items[0] == Item("dog", "brown, small, with a red collar")
    assert found.items[1].name == "grass"
    assert "green" in found.items[1].detail
    assert found.overall in CAPTIONS
    assert nouns("Two men and some women in front of big houses") == {"man", "woman", "house"}
    singular = {"dogs": "dog", "grass": "grass", "children": "child", "bus": "bus", "leaves": "leaf"}
    assert {word: lemma(word) for word in singular} == singular


def test_differences_are_what_is_missing() -> None:
    assert difference("a brown dog and a red ball", "a dog on the grass") == "red ball"
    assert difference("a dog", "two dogs") == "none"


def test_captions_are_tidied() -> None:
    assert tidy(" A man 's dog , running .") == "A man's dog, running"


def test_halves_part_the_descriptions() -> None:
    texts = [str(i) for i in range(7)]
    assert training_half(texts) == ["0", "2", "4", "6"]
    assert held_out_half(texts) == ["1", "3", "5"]
