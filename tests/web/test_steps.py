import io
import re

import numpy as np
import pytest
from PIL import Image

from misc.bits.regions.maps import RegionMaps
from misc.bits.streams import Streams
from misc.bits.text.description import Description, Item
from misc.codec import Codec
from misc.errors import BitstreamError, InputError, LimitError
from misc.web import steps
from misc.web.steps import Wish
from tests.support.images import sample_picture

TEXT = Description("a lighthouse by the sea", (Item("lighthouse", "red"), Item("sea", "")))


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def codec() -> Codec:
    return Codec(max_pixels=100 * 100)


@pytest.fixture(scope="module")
def file(codec: Codec) -> bytes:
    masks = np.zeros((2, 8, 12), bool)
    masks[0, :4] = True
    return codec.encode(sample_picture(96, 64), quality=120, mode="misc", description=TEXT, regions=RegionMaps(masks))


def test_a_photo_becomes_a_file_within_its_budget(codec: Codec) -> None:
    photo = steps.read_photo(png(sample_picture(96, 64)), codec.max_pixels)
    data = steps.encode_photo(codec, photo, Wish("pixel", 0.2))
    assert len(data) <= 0.2 * 96 * 64 / 8
    content = steps.look(codec, data)
    assert set(content.sizes) == {"pixels", "header"}
    assert sum(content.sizes.values()) == len(data)
    assert content.bpp == pytest.approx(8 * len(data) / (96 * 64))
    assert content.streams.pixels is not None


@pytest.mark.parametrize("bpp", [0, -1, float("nan")])
def test_a_budget_is_above_nothing(codec: Codec, bpp: float) -> None:
    with pytest.raises(InputError, match="above 0"):
        steps.encode_photo(codec, sample_picture(96, 64), Wish("pixel", bpp))


def test_what_is_too_large_or_no_image_is_refused(codec: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LimitError, match="beyond the limit"):
        steps.read_photo(png(Image.new("RGB", (101, 100))), codec.max_pixels)
    with pytest.raises(InputError):
        steps.read_photo(b"no image", codec.max_pixels)
    with pytest.raises(LimitError, match="20 MB"):
        steps.read_photo(bytes(steps.MAX_UPLOAD + 1), codec.max_pixels)
    with pytest.raises(BitstreamError):
        steps.look(codec, b"no file")
    with pytest.raises(LimitError):
        steps.look(codec, bytes((1 << 24) + 1))


def test_regions_are_masks_with_names(codec: Codec, file: bytes) -> None:
    ((mask, name),) = steps.region_masks(steps.look(codec, file).streams)  # the sea's mask is empty
    assert name == "lighthouse"
    assert mask.shape == (64, 96)
    assert mask[:32].min() == 1
    assert mask[32:].max() == 0
    alone = Streams(96, 64, regions=RegionMaps(np.ones((1, 8, 12), bool)))
    assert [name for _, name in steps.region_masks(alone)] == ["item 1"]
    assert steps.region_masks(Streams(96, 64)) == []


def test_items_are_lines_and_lines_items() -> None:
    assert steps.items_as_lines(TEXT) == "lighthouse: red\nsea"
    assert steps.items_from_lines("lighthouse: red\n\n  sea  ") == TEXT.items
    assert steps.items_from_lines("clock: at 10:30") == (Item("clock", "at 10:30"),)
    assert steps.items_as_lines(None) == ""


def test_an_edited_text_leaves_the_pixels_alone(codec: Codec, file: bytes) -> None:
    edited = steps.edit_text(codec, file, " a tower ", "tower: white\nsand: yellow")
    before, after = (steps.look(codec, data) for data in (file, edited))
    assert after.streams.text == Description("a tower", (Item("tower", "white"), Item("sand", "yellow")))
    assert before.streams.pixels is not None
    assert after.streams.pixels is not None
    assert np.array_equal(after.streams.pixels.y, before.streams.pixels.y)
    with pytest.raises(InputError, match="2 items and the text 1"):
        steps.edit_text(codec, file, "a tower", "tower: white")


def test_the_bar_tells_every_streams_bytes(codec: Codec, file: bytes) -> None:
    content = steps.look(codec, file)
    bar = steps.stream_bar(content)
    assert [int(size) for size in re.findall(r"flex:(\d+)", bar)] == list(content.sizes.values())
    words = ", ".join(f"{name} {size}" for name, size in content.sizes.items())
    assert f'aria-label="bytes: {words}"' in bar
    assert f"96x64, {len(file)} bytes" in bar
