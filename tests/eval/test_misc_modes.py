"""MISC's modes as codecs of an evaluation: what an image shows is looked for once, and files tell their parts."""

import numpy as np
import pytest
from PIL import Image

from misc.bits.regions.maps import RegionMaps
from misc.bits.text.description import Description, Item
from misc.codec import Codec
from misc.eval.codecs import WithStreams, expand, open_codec
from misc.eval.codecs.misc_modes import MICRO_BYTES, MiscMode
from tests.support.images import sample_picture

TEXT = Description("a cat on a wooden bench", (Item("cat", "black cat"),))


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Image.Image]:
    """Images that were looked at, by a describer that always sees a cat."""
    seen: list[Image.Image] = []
    masks = np.zeros((1, 8, 12), bool)
    masks[0, 2:5, 3:6] = True

    def see(self: Codec, image: Image.Image, items: int = 3) -> tuple[Description, RegionMaps]:
        seen.append(image)
        return TEXT, RegionMaps(masks)

    monkeypatch.setattr(Codec, "see", see)
    return seen


def test_an_image_is_looked_at_once_for_all_rates(looks: list[Image.Image]) -> None:
    codec, image = open_codec(expand(["misc:misc"], seed=1)[0]), sample_picture(96, 64)
    small, large = (codec.encode(image, bpp) for bpp in (0.1, 0.5))
    assert len(small) <= 0.1 * 96 * 64 / 8
    assert len(small) < len(large) <= 0.5 * 96 * 64 / 8
    assert len(looks) == 1
    codec.encode(sample_picture(96, 64, seed=1), 0.5)
    assert len(looks) == 2


def test_parts_sum_up_to_the_file_and_tell_what_they_hold(looks: list[Image.Image]) -> None:
    codec = MiscMode("misc", seed=1)
    data = codec.encode(sample_picture(96, 64), 1.0)
    assert isinstance(codec, WithStreams)
    assert set(codec.streams(data)) == {"text", "regions", "pixels", "overhead"}
    assert sum(codec.streams(data).values()) == len(data)
    content = codec.content(data)
    assert content["text"] == TEXT.overall
    assert content["items"][0]["name"] == "cat"
    assert np.array(content["items"][0]["rows"]).shape == (8, 12)
    assert np.array(content["items"][0]["rows"]).sum() == 9


def test_modes_leave_out_what_they_leave_out(looks: list[Image.Image]) -> None:
    image = sample_picture(96, 64)
    pixel, text, both, micro = (
        MiscMode(mode, seed=1).encode(image, 1.0) for mode in ("pixel", "text", "text+map", "micro")
    )
    codec = MiscMode("text")
    assert set(codec.streams(pixel)) == {"pixels", "overhead"}
    assert set(codec.streams(text)) == {"text", "overhead"}
    assert set(codec.streams(both)) == {"text", "regions", "overhead"}
    assert len(micro) <= MICRO_BYTES
    assert len(looks) == 3
