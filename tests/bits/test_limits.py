"""Few bytes are little work: what a reader does for a file is bounded by the file's bytes and by declared limits."""

import contextlib
import time

import pytest

from misc.bits import container, streams
from misc.bits.container import MAX_PIXELS, Header, Section
from misc.bits.pixels import entropy_model
from misc.bits.pixels.latents import pack, unpack
from misc.bits.regions import coder as regions
from misc.bits.text import WEIGHTLESS, TextCoder
from misc.errors import BitstreamError, LimitError, MiscError
from tests.golden.make import MODEL

TINY = entropy_model.load(MODEL)


def file_of(width: int, height: int, **payloads: bytes) -> bytes:
    """A file with these payloads and checks that fit nothing."""
    sections = {name: Section(payload, 0) for name, payload in payloads.items()}
    return container.write(Header(width, height, 0, streams.ExactModels(TINY).fingerprint), sections)


def test_more_than_64_megapixels_are_refused_unless_they_are_asked_for() -> None:
    assert MAX_PIXELS == 8192 * 8192
    for width, height in ((8192, 8193), (16384, 16384), (65535, 1025)):
        data = file_of(width, height, text=b"\x03")
        with pytest.raises(LimitError, match="beyond the limit of 67108864 pixels"):
            container.read(data)
        assert container.read(data, max_pixels=width * height)[0].height == height
    assert container.read(file_of(8192, 8192, text=b"\x03"))[0].width == 8192


def test_a_file_of_any_size_gets_another_seed() -> None:
    data = streams.reseed(file_of(16384, 16384, text=b"\x03"), 7)
    assert container.read(data, max_pixels=16384 * 16384)[0].seed == 7


def test_a_dozen_bytes_are_no_image_of_64_megapixels() -> None:
    data = file_of(8192, 8192, pixels=b"\x64")
    assert len(data) <= 12
    start = time.process_time()
    with pytest.raises(BitstreamError, match="too short"):
        streams.decode(data, streams.ExactModels(TINY))
    assert time.process_time() - start < 0.2


@pytest.mark.parametrize("size", [(1056, 1024), (65535, 17), (8192, 2048)])
def test_above_a_megapixel_a_pixel_stream_has_a_byte_for_8192_pixels(size: tuple[int, int]) -> None:
    least = -(-size[0] // 32) * -(-size[1] // 32) // 8
    with pytest.raises(BitstreamError, match="too short"):
        unpack(bytes(least - 1), *size, TINY)
    latents = unpack(bytes(least), *size, TINY)
    assert pack(latents, TINY) == bytes(least)


def test_up_to_a_megapixel_a_pixel_stream_may_be_of_one_byte() -> None:
    assert pack(unpack(bytes(1), 1024, 1024, TINY), TINY) == bytes(1)


@pytest.mark.parametrize("coder", WEIGHTLESS.values(), ids=lambda coder: coder.name)
@pytest.mark.parametrize("fill", [b"\x00", b"\xff", b"\x55", b"\xfe"])
def test_a_kilobyte_by_a_weightless_coder_is_little_work(coder: TextCoder, fill: bytes) -> None:
    start = time.process_time()
    with contextlib.suppress(MiscError):
        coder.unpack(1000 * fill)
    assert time.process_time() - start < 1


def test_the_most_masks_are_little_work() -> None:
    start = time.process_time()
    for data in (bytes(1), b"\xfc" * 40, bytes([216]) + bytes(600)):
        try:
            regions.unpack(data, 4096, 1024, 16)
        except BitstreamError:
            continue
    assert time.process_time() - start < 3
