"""What a file holds: the modes, streams by name, and what is left out."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from misc.bits.regions.maps import GRIDS, RegionMaps, grid_shape
from misc.bits.text.description import MAX_WORDS, Description
from misc.codec import Codec
from misc.errors import BudgetError, InputError, WeightsError
from tests.test_codec import CAT, MAP, codec, picture


class Seer:
    """Describer and locator that always see the same, and remember what they were asked; no classifier."""

    classifier = None
    asked = None

    def __init__(self) -> None:
        self.asked: list[str] = []

    def describe(self, image: Image.Image, items: int = 3) -> Description:
        self.asked.append("describe")
        return CAT

    def see(self, image: Image.Image, items: int = 3, grid: int = 8) -> tuple[Description, RegionMaps]:
        self.asked.append(f"see {image.width}x{image.height}")
        return CAT, self.maps(image, grid)

    def locate(self, image: Image.Image, text: Description, grid: int = 8) -> RegionMaps | None:
        self.asked.append("locate")
        return self.maps(image, grid) if text.items else None

    def maps(self, image: Image.Image, grid: int) -> RegionMaps:
        masks = np.zeros((1, *grid_shape(*image.size, grid)), bool)
        masks[0, 1:3, 1:4] = True
        return RegionMaps(masks)


@pytest.fixture
def seeing() -> Codec:
    """The codec with a describer and a locator that need no weights."""
    ours = Codec()
    ours.semantics = Seer()  # type: ignore[assignment]
    return ours


@pytest.mark.parametrize(
    ("wanted", "asked"),
    [
        ({"mode": "pixel"}, []),
        ({"mode": "text"}, ["describe"]),
        ({"mode": "text", "description": CAT}, []),
        ({"mode": "text+map"}, ["see 192x128"]),
        ({"mode": "text+map", "description": CAT}, ["locate"]),
        ({"mode": "dlsvc"}, ["describe"]),
        ({}, ["see 192x128"]),
        ({"description": CAT, "regions": MAP}, []),
        ({"streams": ["text", "pixels"]}, ["describe"]),
        ({"streams": ["regions", "pixels"]}, ["see 192x128"]),
        ({"streams": ["regions"], "description": CAT}, ["locate"]),
    ],
)
def test_a_file_holds_what_was_asked_for_and_no_more_is_looked_at(
    seeing: Codec, wanted: dict[str, object], asked: list[str]
) -> None:
    content = seeing.streams(seeing.encode(picture(), bpp=0.3, seed=0, **wanted))  # type: ignore[arg-type]
    held = {name for name in ("text", "regions", "pixels") if getattr(content, name) is not None}
    of_mode = {"pixel": ["pixels"], "text": ["text"], "dlsvc": ["text"], "text+map": ["text", "regions"]}
    default = of_mode.get(str(wanted.get("mode")), ["text", "regions", "pixels"])
    assert held == set(wanted.get("streams", default))  # type: ignore[call-overload]
    assert seeing.semantics.asked == asked  # type: ignore[attr-defined]


@pytest.mark.parametrize("grid", GRIDS)
def test_the_grid_is_a_choice(seeing: Codec, grid: int) -> None:
    content = seeing.streams(seeing.encode(picture(), mode="text+map", grid=grid, seed=0))
    assert content.regions is not None
    assert content.regions.masks.shape == (1, *grid_shape(192, 128, grid))


def test_mode_misc_leaves_out_what_cannot_be_had_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    told: list[str] = []
    without = Codec(notice=told.append)
    content = without.streams(without.encode(picture(), quality=3))
    assert (content.text, content.regions) == (None, None)
    assert len(told) == 1
    assert "text and region streams are left out" in told[0]
    without.encode(picture(), quality=3, description=CAT)
    assert "the region stream is left out" in told[1]
    for wanted in ({"mode": "text"}, {"streams": ["text", "pixels"], "quality": 3}):
        with pytest.raises(WeightsError):
            without.encode(picture(), **wanted)  # type: ignore[arg-type]


def test_photos_are_turned_upright(seeing: Codec) -> None:
    lying = picture(192, 128)
    lying.getexif()[0x0112] = 6  # turn by a quarter to the right
    upright = lying.transpose(Image.Transpose.ROTATE_270)
    upright.getexif().clear()
    assert upright.size == (128, 192)
    assert seeing.encode(lying, quality=9) == seeing.encode(upright, quality=9)
    assert seeing.see(lying)[1].masks.shape == (1, 12, 8)  # type: ignore[union-attr]


@pytest.mark.parametrize("mode", ["dlsvc", "micro"])
def test_a_text_of_which_nothing_is_left_is_refused(mode: str) -> None:
    for text in ("昼の海", "2024", ""):
        with pytest.raises(InputError, match="this text has none"):
            codec().encode(picture(), mode=mode, description=Description(text))
    with pytest.raises(InputError, match="text is empty"):
        codec().encode(picture(), mode="text", description=Description())
    with pytest.raises(BudgetError, match="smallest file"):
        codec().encode(picture(), mode="micro", description=CAT, max_bytes=9)


def test_hyphens_part_words_of_dlsvc() -> None:
    told: list[str] = []
    ours = Codec(notice=told.append)
    text = ours.streams(ours.encode(picture(), mode="dlsvc", description=Description("red-blue " * 40))).text
    assert text is not None
    assert text.overall.split() == ["red", "blue"] * (MAX_WORDS // 2)
    assert told == ["mode dlsvc keeps the first 64 of 80 words"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"seed": 2**32}, "seed"),
        ({"seed": -1}, "seed"),
        ({"bpp": float("nan")}, "bits per pixel"),
        ({"bpp": float("inf")}, "bits per pixel"),
        ({"bpp": -1.0}, "bits per pixel"),
        ({"max_bytes": -1}, "bytes"),
        ({"grid": 5}, "cells on the shorter side, not 5"),
        ({"mode": None, "streams": []}, "streams are"),
        ({"mode": None, "streams": "text"}, "streams are"),
        ({"streams": ["pixels"]}, "not both"),
    ],
)
def test_values_out_of_range_are_one_error(options: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        codec().encode(picture(), **({"mode": "pixel"} | options))  # type: ignore[arg-type]
