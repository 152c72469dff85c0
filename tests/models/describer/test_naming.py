"""Names that a description may use, by what detector and tagger see."""

import numpy as np
import pytest

from misc.models.describer.naming import Sight, known_words, plain_sentence, same
from misc.models.towers.detector import Detection

EVERYWHERE = (0.0, 0.0, 1.0, 1.0)
TABLE = [["macaw", "parrot", "bird", "animal"], ["dog", "animal"], ["lighthouse", "tower"], ["sports car", "car"]]


def sight(*things: tuple[str, float], shares: tuple[float, ...] = (0, 0, 0, 0), **subjects: float) -> Sight:
    found = [Detection(name, score, EVERYWHERE) for name, score in things]
    return Sight(found, np.array(shares, float), TABLE, subjects)


def test_evidence_is_of_things_and_of_names_added_up() -> None:
    seen = sight(("dog", 0.3), ("person", 0.4), shares=(0.5, 0.2, 0, 0))
    assert seen.evidence("dog") == pytest.approx(0.3)
    assert seen.evidence("animal") == pytest.approx(0.7)
    assert seen.evidence("woman") == seen.evidence("skier") == pytest.approx(0.4)
    assert seen.evidence("tower") == 0.0


def test_sure_names_are_special_and_different() -> None:
    assert sight(("bird", 0.9), ("cup", 0.4), shares=(0.8, 0, 0, 0)).sure_names() == ["macaw", "cup"]
    assert sight(("dog", 0.9), shares=(0.3, 0.3, 0, 0)).sure_names() == ["dog"]  # no animal beside it
    assert sight(("car", 0.9), ("cup", 0.3), shares=(0, 0, 0, 0.6)).sure_names() == ["sports car"]
    assert sight(("car", 0.3), shares=(0, 0, 0.4, 0)).sure_names() == []
    assert sight(("car", 0.3), shares=(0, 0, 0.4, 0)).probable_name() == "lighthouse"
    assert sight(("car", 0.1), shares=(0, 0, 0.2, 0)).probable_name() is None


def test_a_kind_is_not_named_beside_what_the_detector_finds_of_it() -> None:
    assert sight(("giraffe", 0.9), shares=(0.3, 0.3, 0, 0)).sure_names() == ["giraffe"]
    assert sight(("hot dog", 0.9), ("cup", 0.9), shares=(0.3, 0.3, 0, 0)).sure_names() == ["animal", "hot dog", "cup"]


def test_subjects_are_named_behind_tags_and_things() -> None:
    seen = sight(("cup", 0.9), shares=(0.8, 0, 0, 0), flower=0.6, tulip=0.55, water=0.9, mountain=0.4)
    assert seen.sure_names() == ["macaw", "cup", "tulip"], "a tulip is a flower, water is a place, no mountain is sure"
    assert seen.evidence("flower") == 0.6
    assert sight(("cup", 0.9), mountain=0.6, rock=0.7).sure_names() == ["cup", "rock"], "one name of a landscape"
    assert sight(mountain=0.4).probable_name() == "mountain"
    assert sight(mountain=0.3).probable_name() is None


def test_captions_may_not_speak_of_flowers_and_mountains_that_are_not_there() -> None:
    assert sight(mountain=0.1).misleads("Mountains in the snow")
    assert not sight(mountain=0.3).misleads("Mountains in the snow")
    assert sight(flower=0.6).misleads("A hiker walks"), "nobody is seen"


def test_words_that_detector_or_tagger_would_know() -> None:
    assert known_words("Two dogs and a man wear orange shirts on a wall by buses") == ["dog", "man", "bus"]
    assert known_words("Grass.") == []


def test_what_is_said_and_not_seen() -> None:
    seen = sight(("dog", 0.3), ("person", 0.1))
    assert seen.bears_out("brown dogs")
    assert not seen.bears_out("boy")
    assert not sight(("dog", 0.29)).bears_out("dog")
    assert seen.can_judge("boy")
    assert not seen.can_judge("grass")
    assert seen.unseen_nouns("A dog beside a boy") == ["boy"]
    assert seen.misleads("A dog beside a boy")
    assert seen.misleads("A cat looks at a dog")
    assert not seen.misleads("A dog looks at a cat")
    assert not seen.misleads("A rock in the sea")


def test_a_sentence_besides_what_is_sure_misleads() -> None:
    seen = sight(("cup", 0.9), ("person", 0.3))
    assert seen.misleads("A man sits on a bench"), "a cup is sure, a man is not, and no cup is named"
    assert seen.misleads("Grass in the wind"), "nothing in it can be judged"
    assert not seen.misleads("A man holds a cup")
    assert not sight(("cup", 0.9), ("person", 0.35)).misleads("A man sits outside"), "he is sure too"
    assert not sight(("cup", 0.3), ("person", 0.3)).misleads("A man sits outside"), "nothing is surer than he"


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["macaw"], "A macaw"),
        (["umbrella", "unicycle"], "An umbrella and a unicycle"),
        (["food", "scissors", "bus"], "Food, scissors and a bus"),
        (["wine glass", "hot dog"], "A wine glass and a hot dog"),
        ([], ""),
    ],
)
def test_a_sentence_of_names_alone(names: list[str], sentence: str) -> None:
    assert plain_sentence(names) == sentence


def test_names_of_the_same() -> None:
    assert same("young man", "person")
    assert same("two dogs", "dog")
    assert not same("hot dog stand", "dog")
