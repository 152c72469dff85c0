"""The row of all modes: real files within one limit, their images and likeness, or why there is none."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from misc import closed_loop
from misc.bits.regions.maps import RegionMaps
from misc.bits.text.description import Description, Item
from misc.codec import Codec
from misc.errors import InputError, WeightsError
from misc.modes import MODES
from misc.web.comparison import Entry, Progress, compare, row_html
from misc.web.steps import MAX_CANDIDATES, Wish
from tests.support.images import sample_picture
from tests.test_closed_loop import Painter

PHOTO = sample_picture(96, 64)
TEXT = Description("a grey cat on a mat", (Item("cat", "grey"),))
MAPS = RegionMaps(np.tile(np.eye(8, 12, dtype=bool), (1, 1, 1)))


class Settled(Painter):
    """Draws seed k in grey k; a text means the same photo everywhere."""

    def draw_many(self, scenes: Any, **_: object) -> Any:
        return [np.full((64, 96, 3), 9 if each.draft is None else 120, np.uint8) for each in scenes]


class Same:
    """Stands for the likeness: the mean of an image."""

    def __init__(self, semantics: object, photo: Image.Image) -> None:
        pass

    def cosines(self, image: Image.Image) -> dict[str, float]:
        mean = float(np.asarray(image).mean()) / 255
        return {"vit_patch": mean, "vit_mean": mean, "clip": -mean}


@pytest.fixture
def codec(monkeypatch: pytest.MonkeyPatch) -> Codec:
    monkeypatch.setattr(closed_loop, "Likeness", Same)
    monkeypatch.setattr(Codec, "words_of", lambda self, content: content)  # needs the small language model alone
    ours = Codec(notice=pytest.fail)
    see = lambda image, items=3, grid=8: (TEXT, MAPS)  # noqa: E731
    seen = SimpleNamespace(see=see, classifier=None, word_importance=SimpleNamespace(of=lambda fields: {}))
    ours.__dict__.update(decoder=Settled(), semantics=seen)
    monkeypatch.setattr("misc.encoding.reflect_on", lambda maker, full, data, rounds: data)
    return ours


def run(codec: Codec, bpp: float, candidates: int = 1) -> tuple[dict[str, Entry], list[Progress]]:
    told = list(compare(codec, PHOTO, Wish("misc", bpp, candidates)))
    return {entry.mode: entry for entry in told[-1].entries}, told


def test_every_mode_has_a_file_within_the_limit_and_its_image(codec: Codec) -> None:
    entries, told = run(codec, 0.4)
    assert tuple(entries) == MODES
    for entry in entries.values():
        assert entry.problem == ""
        assert entry.content is not None
        assert len(entry.content.data) <= 0.4 * 96 * 64 / 8
        assert codec.streams(entry.content.data) is not None
        hybrid = entry.content.streams.pixels is not None
        assert entry.image is not None
        assert entry.image.getpixel((0, 0)) == ((120,) * 3 if hybrid else (9,) * 3)
        assert entry.likeness["clip"] == pytest.approx(-120 / 255 if hybrid else -9 / 255)
        assert 5 < entry.likeness["psnr"] < 40
    assert [len(each.entries) for each in told] == sorted(len(each.entries) for each in told)
    assert told[0].next == "looking at the photo"
    assert told[1].next == "mode dlsvc, 1 of 6: encoding"
    assert told[2].next == "mode dlsvc, 1 of 6: drawing"
    assert told[-1].next == ""


def test_what_does_not_fit_says_so_and_the_rest_goes_on(codec: Codec) -> None:
    entries, _ = run(codec, 0.0175)  # 13 bytes
    for mode in ("pixel", "misc"):
        assert re.fullmatch(r"the smallest file of this image has \d+ bytes \(.* bpp\); 13 were allowed",
                            entries[mode].problem)  # fmt: skip
        assert entries[mode].content is None
    assert entries["micro"].content is not None


def test_notices_stand_beside_their_mode(codec: Codec) -> None:
    usual = codec.notice
    entries, _ = run(codec, 0.2)
    assert any(entry.notices for entry in entries.values())
    assert entries["pixel"].notices == ()
    assert codec.notice is usual


def test_without_a_describer_pixels_are_compared_alone(codec: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise WeightsError("the towers are not here; misc pull")

    codec.semantics.see = codec.semantics.describe = missing  # type: ignore[method-assign, assignment]
    codec.semantics.asked = None  # type: ignore[misc]
    monkeypatch.setattr(closed_loop, "Likeness", missing)
    entries, _ = run(codec, 0.4)
    for mode in ("dlsvc", "micro", "text", "text+map"):
        assert entries[mode].problem == "the towers are not here; misc pull"
    for mode in ("pixel", "misc"):
        assert set(entries[mode].likeness) == {"psnr"}
        assert entries[mode].image is not None
    assert "left out" in entries["misc"].notices[0]


@pytest.mark.parametrize("wish", [Wish("misc", 0), Wish("misc", float("inf")), Wish("misc", float("nan")),
                                  Wish("misc", 1, 0), Wish("misc", 1, MAX_CANDIDATES + 1)])  # fmt: skip
def test_a_wish_out_of_its_range_is_refused_before_anything_is_done(codec: Codec, wish: Wish) -> None:
    with pytest.raises(InputError):
        next(compare(codec, PHOTO, wish))


def test_the_row_has_a_card_for_the_original_and_every_mode(codec: Codec) -> None:
    entries, _ = run(codec, 0.4)
    entries["text"] = Entry("text", problem="it is <too> large")
    text = row_html(PHOTO, list(entries.values()))
    assert text.count("<li>") == 1 + len(MODES)
    assert re.findall(r'<img alt="([^"]+)"', text) == ["original", *(mode for mode in MODES if mode != "text")]
    assert "it is &lt;too&gt; large" in text
    for mode, kind in (("dlsvc", "semantic only"), ("pixel", "pixels alone"), ("misc", "hybrid")):
        content = entries[mode].content
        assert content is not None
        assert f"<b>{mode}</b><br>{kind}<br>{len(content.data)} bytes, {content.bpp:.5f} bits per pixel<br>" in text
    assert 'tabindex="0"' in text  # a row that is wider than the window is scrolled by keys
