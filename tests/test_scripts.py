"""The codec in somebody's own program: what is given to it, what is taken out of a file and put back."""

import dataclasses
import functools
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from misc import Codec
from misc.bits.pixels import latents
from misc.bits.pixels.latents import PixelLatents
from misc.bits.regions.maps import RegionMaps, grid_shape
from misc.bits.streams import Streams
from misc.bits.text.description import Description, Item
from misc.errors import InputError, LimitError, UsageError
from misc.maps import from_masks
from tests.support.images import sample_picture

CAT = Description("a cat on a bench", (Item("cat", "grey"),))
SIZE = (192, 128)


@functools.cache
def codec() -> Codec:
    return Codec()


@functools.cache
def content() -> Streams:
    masks = np.zeros((1, *grid_shape(*SIZE)), np.bool_)
    masks[0, 2:5, 3:6] = True
    image = sample_picture(*SIZE)
    data = codec().encode(
        image, streams=["text", "regions", "pixels"], quality=100, description=CAT, regions=RegionMaps(masks)
    )
    return codec().streams(data)


@pytest.mark.parametrize("call", ["encode", "see"])
@pytest.mark.parametrize("image", [np.zeros((8, 8, 3), np.uint8), "photo.png", Path("photo.png"), None])
def test_an_image_is_one_of_pillow(call: str, image: Any) -> None:
    with pytest.raises(InputError, match=f"one of Pillow, not {type(image).__name__}: give PIL.Image.open"):
        getattr(codec(), call)(image)


def test_an_image_has_pixels() -> None:
    with pytest.raises(LimitError, match="0x5 has no pixels"):
        codec().encode(Image.new("RGB", (0, 5)), mode="pixel")


@pytest.mark.parametrize("data", ["photo.misc", Path("photo.misc")])
def test_a_file_is_given_as_its_bytes(data: Any) -> None:
    for call in (codec().decode, codec().streams):
        with pytest.raises(InputError, match=r"bytes of a file are wanted, not .*read_bytes"):
            call(data)


def test_views_of_bytes_are_bytes() -> None:
    data = codec().write(content())
    for view in (bytearray(data), memoryview(data)):
        assert codec().streams(view) == content()  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["a red door", {"overall": "a red door"}])
def test_a_text_is_a_description(text: Any) -> None:
    with pytest.raises(InputError, match=f"a Description of .*, not {type(text).__name__}: .*from_json"):
        codec().encode(sample_picture(*SIZE), mode="text", description=text)


def test_items_are_items() -> None:
    with pytest.raises(InputError, match="an item of a description is an Item, not tuple"):
        Description("a red door", (("door", "red"),))  # type: ignore[arg-type]


def test_a_list_of_items_is_taken_as_a_tuple() -> None:
    listed = Description("a cat on a bench", [Item("cat", "grey")])  # type: ignore[arg-type]
    assert listed == CAT
    assert hash(listed) == hash(CAT)


def test_regions_are_region_maps() -> None:
    masks: Any = np.zeros((1, 8, 12), np.bool_)
    with pytest.raises(InputError, match=r"RegionMaps of .*, not ndarray: .*from_masks"):
        codec().encode(sample_picture(*SIZE), mode="text+map", description=CAT, regions=masks)


def test_numbers_of_numpy_are_numbers() -> None:
    image = sample_picture(*SIZE)
    mine, theirs = (
        codec().encode(image, mode="pixel", quality=kind(90), seed=kind(7), verify=False) for kind in (int, np.int64)
    )
    assert mine == theirs
    with pytest.raises(UsageError, match=re.escape("the quality is a whole number, not 90.5")):
        codec().encode(image, mode="pixel", quality=90.5)  # type: ignore[arg-type]


def test_a_profile_is_named_by_a_path_and_a_device_by_torchs_object(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('base = "embedded"')
    mine = Codec(own, device=torch.device("cpu"))
    assert mine.profile == Codec(str(own)).profile
    assert mine.streams(codec().write(content())) == content()
    assert mine.draw(content(), draft=True) == codec().draw(content(), draft=True)


def test_a_describer_of_ones_own_describes() -> None:
    class Mine:
        def describe(self, image: Image.Image, items: int = 3) -> Description:
            return Description(f"an image of {image.width} pixels")

    image = sample_picture(*SIZE)
    mine = Codec(describer=Mine())
    assert mine.see(image) == (Description("an image of 192 pixels"), None)
    assert mine.streams(mine.encode(image, mode="text")).text == Description("an image of 192 pixels")

    class Wrong:
        def describe(self, image: Image.Image, items: int = 3) -> Any:
            return "an image"

    with pytest.raises(InputError, match="not str"):
        Codec(describer=Wrong()).encode(image, mode="text")


def test_streams_are_equal_when_their_symbols_are() -> None:
    assert content() == dataclasses.replace(content())
    assert hash(content()) == hash(dataclasses.replace(content()))
    maps, pixels = content().regions, content().pixels
    assert maps is not None
    assert pixels is not None
    assert maps == RegionMaps(maps.masks.copy())
    assert maps != RegionMaps(~maps.masks)
    assert pixels == PixelLatents(pixels.quality, pixels.z.copy(), pixels.y.copy())
    assert pixels != PixelLatents(pixels.quality, pixels.z, pixels.y + 64)
    flat = PixelLatents(pixels.quality, pixels.z, pixels.y.reshape(pixels.y.shape[0], 1, -1))
    assert pixels != flat
    assert content() != dataclasses.replace(content(), regions=None)


def test_one_stream_is_replaced() -> None:
    assert codec().streams(codec().write(content())) == content()
    wide = from_masks(np.ones((1, 3, 3)), *SIZE, grid=4)
    text = Description("two cats", (Item("cats"),))
    changed = dataclasses.replace(content(), text=text, regions=wide)
    assert codec().streams(codec().write(changed)) == changed


def test_latents_of_ones_own_are_written_once_they_are_quantised() -> None:
    pixels, model = content().pixels, codec().profile.entropy_model
    assert pixels is not None
    with pytest.raises(InputError, match=r"not of this model.*latents.quantise"):
        codec().write(dataclasses.replace(content(), pixels=dataclasses.replace(pixels, y=pixels.y + 1)))
    mine = latents.quantise(pixels.y / 64 + 0.7, pixels.z.astype(np.float32), pixels.quality, model)
    changed = dataclasses.replace(content(), pixels=mine)
    assert mine != pixels
    assert codec().streams(codec().write(changed)) == changed


def test_latents_of_another_size_are_not_written() -> None:
    with pytest.raises(InputError, match=r"y of an image of 320x128 has the shape \(64, 4, 10\), not \(64, 4, 6\)"):
        codec().write(dataclasses.replace(content(), width=320, text=None, regions=None))
    pixels = content().pixels
    assert pixels is not None
    with pytest.raises(InputError, match="quality of latents is 0 to 255, not 256"):
        codec().write(dataclasses.replace(content(), pixels=dataclasses.replace(pixels, quality=256)))


@pytest.mark.parametrize("size", [(0, 5), (5, 65_536)])
def test_a_size_that_no_file_has(size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="1 to 65535 pixels a side"):
        Streams(*size)


def test_masks_in_pixels_become_cells() -> None:
    masks = np.zeros((2, 128, 192), np.uint8)
    masks[0, 32:96, 48:144] = 1  # rows 2 to 5 and columns 3 to 8 of 8x12
    masks[1, 0:4, 188:192] = 1  # a sixteenth of a cell
    maps = from_masks(masks, *SIZE)
    wanted = np.zeros((2, 8, 12), np.bool_)
    wanted[0, 2:6, 3:9] = True
    wanted[1, 0, 11] = True
    assert np.array_equal(maps.masks, wanted)
    assert np.array_equal(from_masks(masks[:, ::2, ::2].astype(bool), *SIZE).masks, wanted)
    assert from_masks(masks, *SIZE, grid=16).masks.shape == (2, 16, 24)


@pytest.mark.parametrize(
    "masks", [np.ones((8, 12)), np.full((1, 8, 12), 2), np.zeros((0, 8, 12)), np.full((1, 2, 2), "x")]
)
def test_what_is_no_mask_is_refused(masks: Any) -> None:
    with pytest.raises(InputError, match=r"an array \(items, rows, columns\)"):
        from_masks(masks, *SIZE)


def test_errors_are_there_at_once_and_load_nothing() -> None:
    script = "import misc, sys; print(misc.errors.MiscError.exit_code, {'torch', 'numpy', 'PIL'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "1 set()\n"


def test_a_codec_goes_to_other_processes_and_loads_its_models_there() -> None:
    mine = Codec(max_pixels=5000)
    data = mine.encode(sample_picture(64, 48), mode="pixel", quality=3, effort=0)
    packed = pickle.dumps(mine)
    assert len(packed) < 10_000
    other = pickle.loads(packed)
    assert (other.max_pixels, other.profile) == (5000, mine.profile)
    assert other.encode(sample_picture(64, 48), mode="pixel", quality=3, effort=0) == data
    with pytest.raises(LimitError):
        other.encode(sample_picture(128, 96), mode="pixel", quality=3)
