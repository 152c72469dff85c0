"""What the codec refuses with one sentence, and what it makes of cut files and of long texts."""

import contextlib
import functools
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

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
        ({"effort": "6"}, "the effort is a whole number, not '6'"),
        ({"effort": None}, "the effort is a whole number from 0 up, not None"),
        ({"candidates": None}, "number of candidates is a whole number from 1 up, not None"),
        ({"mode": "micro", "ubpp": 2000, "trace": 5}, "a trace is written into a folder, not into 5"),
        ({"candidates": 2.0}, "number of candidates is a whole number"),
        ({"mode": "text+map", "grid": 8.0}, "the grid has 4, 8, 12 or 16 cells on the shorter side, not 8.0"),
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


def test_a_draft_has_no_seed() -> None:
    data = codec().encode(picture(64, 64), mode="pixel", quality=3, effort=0)
    with pytest.raises(UsageError, match="a draft is drawn without a generator, so there is no seed"):
        codec().decode(data, draft=True, seed=3)


@contextlib.contextmanager
def default_type() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    "state", [default_type, lambda: torch.autocast("cpu", torch.bfloat16), lambda: torch.device("meta")]
)
def test_the_state_of_torch_in_the_users_program_changes_nothing(
    state: Callable[[], contextlib.AbstractContextManager[object]],
) -> None:
    mine, photo = Codec(device="cpu"), picture(64, 64)
    with state():
        data = mine.encode(photo, bpp=0.5)
        drawn = mine.decode(data)
    assert data == codec().encode(photo, bpp=0.5)
    assert drawn == codec().decode(data)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda c, data: c.draw(data), "Streams are wanted, as Codec.streams(data) gives them, not bytes"),
        (lambda c, data: c.write(data), "not bytes"),
        (lambda c, data: c.draw_many(c.streams(data)), "a list of Streams is wanted, not Streams"),
        (lambda c, data: c.draw_many(data), "a list of Streams is wanted, not bytes"),
        (lambda c, data: c.decode(data, sampling={"steps": 3}), "misc.SamplingChanges, not dict"),
        (lambda c, data: c.see(picture(64, 64), items=1.5), "number of items is a whole number, not 1.5"),
        (lambda c, data: c.see(picture(64, 64), items=-1), "whole number from 0 up, not -1"),
        (lambda c, data: Codec(max_pixels=None), "largest number of pixels is a whole number from 1 up, not None"),
        (lambda c, data: Codec(describer=object()).see(picture(64, 64)), "has a method describe"),
        (lambda c, data: Codec(describer=Silent()).see(picture(64, 64)), "the describer gave None"),
    ],
)
def test_a_value_of_another_kind_is_one_sentence(call: Callable[[Codec, bytes], object], words: str) -> None:
    data = codec().encode(picture(64, 64), mode="pixel", quality=3, effort=0)
    with pytest.raises(InputError, match=re.escape(words)):
        call(codec(), data)


class Silent:
    """A describer that gives nothing."""

    def describe(self, image: object, items: int) -> None:
        pass


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
