"""What the codec refuses with one sentence, and what it makes of cut files and of long texts."""

import functools
from pathlib import Path

import numpy as np
import pytest

from misc.bits.regions.maps import RegionMaps
from misc.bits.text.description import Description, Item
from misc.codec import Codec
from misc.errors import InputError, UsageError
from misc.models.language_model import skeleton
from tests.support.images import sample_picture as picture

CAT = Description("a cat on a bench", (Item("cat", "grey"),))
MAP = RegionMaps(np.pad(np.ones((1, 4, 8), np.bool_), ((0, 0), (4, 0), (4, 0))))


@functools.cache
def codec() -> Codec:
    return Codec()


def test_the_seed_of_lost_pixels_is_no_photo_of_the_memory() -> None:
    for streams, kept in ((("text", "pixels"), 0), (("text", "regions"), 7)):
        data = codec().encode(picture(), streams=streams, description=CAT, regions=MAP, seed=7, effort=0, bpp=0.5)
        assert codec().streams(data).seed == 7
        assert codec().streams(data[:-4], partial=True).seed == kept


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mode": "text", "quality": 50}, "without pixels has no quality"),
        ({"streams": ["regions"], "regions": RegionMaps(np.zeros((1, 8, 8), np.bool_))}, "nothing is left to write"),
        ({"streams": iter(["text"])}, "the streams are one or more of"),
        ({"effort": "6"}, "argument effort is a whole number, not '6'"),
        ({"candidates": 2.0}, "argument candidates is a whole number"),
        ({"mode": "text+map", "grid": 8.0}, "the grid has 4, 8, 12 or 16 cells"),
    ],
)
def test_what_cannot_be_written_is_one_sentence(options: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        codec().encode(picture(64, 64), description=CAT, **options)  # type: ignore[arg-type]


def test_a_seed_that_is_no_number_is_one_sentence() -> None:
    data = codec().encode(picture(64, 64), mode="pixel", quality=3, effort=0)
    for seed in ("3", 1.5):
        with pytest.raises(UsageError, match="the seed is a whole number"):
            codec().decode(data, seed=seed)  # type: ignore[arg-type]


def test_long_words_are_expanded_to_a_text_that_a_description_may_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skeleton, "expand_line", lambda line, path: " ".join(["representatives"] * 64))
    words = skeleton.expand_description(Description("rprsnttvs", consonants=True), Path())
    assert words.overall == " ".join(["representatives"] * 50)


def test_the_words_of_a_line_are_searched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[str] = []
    monkeypatch.setattr(skeleton, "load_lexicon", lambda path: (None, None))
    monkeypatch.setattr(skeleton, "expand", lambda line, *models: searched.append(line) or f"{line} in words")
    lines = [skeleton.expand_line(line, Path("no model")) for line in ("ct", "dg", "ct")]
    skeleton.expand_line.cache_clear()
    assert lines == ["ct in words", "dg in words", "ct in words"]
    assert searched == ["ct", "dg"]
