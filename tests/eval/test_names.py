"""Counting names that are right."""

import json
from pathlib import Path

import pytest
from PIL import Image

from misc.bits.text.description import Description, Item
from misc.errors import InputError

pytest.importorskip("textblob")

from misc.eval.names import Counts, count, first_noun, is_right, listed_photos, main, with_general

KODAK = Path(__file__).parent.parent / "data" / "kodak_nouns.json"


def test_a_name_may_be_more_general_than_what_is_there() -> None:
    known = with_general({"macaw", "tree"})
    assert all(is_right(name, known) for name in ("macaw", "red macaws", "bird", "Parrot", "trees"))
    assert not any(is_right(name, known) for name in ("dog", "cockatoo", "person", ""))
    assert not is_right("macaw", with_general({"bird"}))
    assert is_right("young woman", with_general({"man"}))
    assert is_right("traffic light", with_general({"traffic light"}))


def test_the_first_noun_of_a_sentence() -> None:
    assert first_noun("A group of two dogs on the grass") == "dog"
    assert first_noun("Slowly") == ""


def test_counts() -> None:
    said = [
        Description("A bird on a branch", (Item("macaw", ""), Item("woman", ""))),
        Description("A man", (Item("person", ""),)),
        Description("Blue", ()),
    ]
    counts = count(said, [{"macaw"}, {"dog"}, {"sky"}])
    assert counts == Counts(photos=3, names=3, right=1, first_right=1, sentences_right=1)
    assert counts.shares["names right"] == pytest.approx(1 / 3)
    assert counts.shares["names a photo"] == 1.0


def test_pictures_and_their_nouns(tmp_path: Path) -> None:
    for name in ("a", "b"):
        Image.new("RGB", (4, 4)).save(tmp_path / f"{name}.png")
    (tmp_path / "nouns.json").write_text(json.dumps({"b": ["sea", "boat"], "a": ["door"]}))
    found = list(listed_photos(tmp_path, tmp_path / "nouns.json"))
    assert [(name, known) for name, _, known in found] == [("b", {"sea", "boat"}), ("a", {"door"})]


def test_photos_that_are_not_there_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "nouns.json").write_text(json.dumps({"b": ["sea"]}))
    with pytest.raises(InputError, match="no photo b in"):
        list(listed_photos(tmp_path, tmp_path / "nouns.json"))
    with pytest.raises(InputError, match="no photo to describe in"):
        main(tmp_path, None, 1000, None)


def test_the_nouns_of_kodak() -> None:
    table = json.loads(KODAK.read_text())
    assert list(table) == [f"kodim{number:02}" for number in range(1, 25)]
    assert all(len(set(known)) == len(known) >= 5 for known in table.values())
