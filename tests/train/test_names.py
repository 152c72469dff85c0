"""Everyday names of classes, from WordNet's file of nouns."""

from pathlib import Path

from misc.train.prepare.names import Everyday, Synset, chains, read_everyday, read_nouns

NOUNS = """  1 This is a licence, and is passed over.
00000001 03 n 01 entity 0 001 ~ 00000002 n 0000 | what is
00000002 05 n 02 animal 0 beast 0 001 @ 00000001 n 0000 | a living thing
00000003 05 n 01 bird 0 001 @ 00000002 n 0000 | it flies
00000004 05 n 02 gray_jay 0 camp_robber 0 002 @ 00000003 n 0000 + 00000009 v 0101 | a bird | of woods
00000005 05 n 01 terrier 0 001 @ 00000006 n 0000 | small
00000006 05 n 01 dog 0 001 @ 00000002 n 0000 | it barks
00000007 06 n 01 beacon 0 001 @ 00000001 n 0000 | it shines
00000008 06 n 01 hay 0 001 @ 00000002 n 0000 | dry
"""


def nouns(folder: Path) -> dict[str, Synset]:
    (folder / "data.noun").write_text(NOUNS, encoding="latin-1")
    return read_nouns(folder / "data.noun")


def test_nouns_of_wordnet(tmp_path: Path) -> None:
    found = nouns(tmp_path)
    assert len(found) == 8
    assert found["n00000002"] == Synset(("animal", "beast"), ("n00000001",))
    assert found["n00000004"] == Synset(("gray jay", "camp robber"), ("n00000003",))


def test_chains_go_from_special_to_general_in_everyday_words(tmp_path: Path) -> None:
    everyday = Everyday(
        above={"animal": "animal", "n00000003": "bird", "dog": "dog"},
        classes={"beacon": "lighthouse, tower", "hay": "hay, -"},
        alike=frozenset({"dog"}),
    )
    classes = [f"n{number:08}" for number in (4, 5, 7, 8)]
    assert chains(classes, nouns(tmp_path), everyday) == [
        ["gray jay", "bird", "animal"],
        ["dog", "animal"],
        ["lighthouse", "tower"],
        ["hay"],
    ]


def test_the_table_of_everyday_words_is_read() -> None:
    everyday = read_everyday()
    assert everyday.classes["beacon"] == "lighthouse, tower, building"
    assert everyday.above["n07555863"] == "food"
    assert "dog" in everyday.alike
