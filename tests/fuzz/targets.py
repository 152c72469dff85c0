"""What is fuzzed: for each reader a corpus, how it is called, and the errors that are its answer to bad input.

Where a reader accepts the bytes, what it read must survive being written and read again.
"""

from __future__ import annotations

import dataclasses
import io
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

import misc.pillow  # noqa: F401  # registers the plugin
from misc.bits import container, streams
from misc.bits.container import FILE_CRC, Section, crc8
from misc.bits.pixels import entropy_model, latents
from misc.bits.regions import coder as regions
from misc.bits.text import TextCoder, description
from misc.errors import LimitError, MiscError
from misc.images import decode_image
from misc.maps import load_maps
from misc.models.describer.answer import parse
from misc.profiles import load_profile
from tests.golden.make import FOLDER as GOLDEN
from tests.golden.make import MODEL

__all__ = ["Target", "targets"]

CORPUS = Path(__file__).parent / "corpus"
MAX_PIXELS = 1 << 21
EVERY = {"lm-small": 200, "words": 50, "lzw": 8}  # of the text coders that take 10 to 250 ms an input
TINY = entropy_model.load(MODEL)
MODELS = streams.ExactModels(TINY)
SIZES = ((64, 64), (301, 211), (1025, 300), (1, 1), (2000, 7), (1536, 1024))


@dataclass(frozen=True)
class Target:
    """A reader.

    Attributes:
        corpus: inputs to begin with. run: reads an input. expected: errors that are an answer.
        every: it takes each input whose number this divides: a slow reader fewer, so that the fast ones do not wait.
    """

    name: str
    corpus: tuple[bytes, ...]
    run: Callable[[bytes], None]
    expected: tuple[type[Exception], ...] = (MiscError,)
    every: int = 1


def targets() -> list[Target]:
    """All readers, in an order that stays."""
    files = tuple(path.read_bytes() for path in sorted(GOLDEN.glob("*.misc")))
    payloads = [container.read(data)[1] for data in files]
    texts = tuple(json.loads((GOLDEN / "texts.json").read_text()))
    coders = [coder for coder in load_profile().text_coders.values() if coder.name != "lm-large"]
    own = tuple(of_profile(data) for data in files)
    pillow_errors = (OSError, Image.DecompressionBombError)  # what Pillow's users catch
    return [
        Target("container", files, read_container),
        Target("checked", files, lambda data: read_container(with_check(data))),
        Target("cut", files, lambda data: read_container(with_check(data), partial=True)),
        *(text_target(coder, texts) for coder in coders),
        Target("text", sections(payloads, "text"), read_text),
        Target("regions", sections(payloads, "regions", bytes(2)), read_masks, every=8),
        Target("latents", sections(payloads, "pixels", bytes(1)), read_pixels),
        Target("answers", corpus("answers"), read_answer),
        Target("descriptions", corpus("answers"), read_description),
        Target("maps", corpus("maps"), read_maps),
        Target("images", corpus("images"), read_image),
        Target("plugin", own, lambda data: read_plugin(with_check(data)), pillow_errors),
    ]


def sections(files: list[dict[str, Section]], name: str, before: bytes = b"") -> tuple[bytes, ...]:
    """The sections of a stream, with bytes before each that say how it is read."""
    return tuple(before + file[name].payload for file in files if name in file)


def corpus(name: str) -> tuple[bytes, ...]:
    return tuple(path.read_bytes() for path in sorted((CORPUS / name).iterdir()))


def with_check(data: bytes) -> bytes:
    """The file with its last byte made the checksum of the others."""
    return data[:-1] + bytes([crc8(data[:-1], FILE_CRC)])


def of_profile(data: bytes) -> bytes:
    """The file as one of the embedded profile; its pixels, if it has any, then fail their check."""
    header, sections = container.read(data)
    return container.write(dataclasses.replace(header, fingerprint=load_profile().exact_models.fingerprint), sections)


def read_container(data: bytes, partial: bool = False) -> None:
    content = streams.decode(data, MODELS, max_pixels=MAX_PIXELS, partial=partial)
    again = streams.decode(streams.encode(content, MODELS), MODELS, max_pixels=MAX_PIXELS)
    if container.read(data, partial=partial)[0] != container.read(streams.encode(again, MODELS))[0]:
        raise AssertionError("another header after writing again")


def text_target(coder: TextCoder, texts: tuple[str, ...]) -> Target:
    packed = tuple(coder.pack(text) for text in texts)
    return Target(f"text-{coder.name}", packed, reader_of(coder), every=EVERY.get(coder.name, 1))


def reader_of(coder: TextCoder) -> Callable[[bytes], None]:
    """Reads a text; those that the coder keeps must come back from its own bytes."""

    def read(data: bytes) -> None:
        text = coder.unpack(data)
        if not coder.keeps(text):
            return
        try:
            again = coder.pack(text)
        except LimitError:
            return  # other tokens for the same text may be more
        if coder.unpack(again) != text:
            raise AssertionError("another text after writing again")

    return read


def read_text(data: bytes) -> None:
    found = description.unpack(data)
    if description.unpack(description.pack(found)) != found:
        raise AssertionError("another description after writing again")


def read_masks(data: bytes) -> None:
    """The first byte chooses the size, the second the number of items."""
    width, height = SIZES[data[0] % len(SIZES)] if data else SIZES[0]
    items = data[1] % 17 if len(data) > 1 else 0
    maps = regions.unpack(data[2:], width, height, items)
    again = regions.unpack(regions.pack(maps, width, height, items), width, height, items)
    if not np.array_equal(again.masks, maps.masks):
        raise AssertionError("other masks after writing again")


def read_pixels(data: bytes) -> None:
    """The first byte chooses the size."""
    width, height = SIZES[data[0] % len(SIZES)] if data else SIZES[0]
    found = latents.unpack(data[1:], width, height, TINY)
    again = latents.unpack(latents.pack(found, TINY), width, height, TINY)
    if again.symbols() != found.symbols():
        raise AssertionError("other latents after writing again")


def read_answer(data: bytes) -> None:
    parse(data.decode(errors="replace"), 3)


def read_description(data: bytes) -> None:
    """What `--describe` reads: JSON of a user."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return
    read_text(description.pack(description.from_json(value)))


def read_maps(data: bytes) -> None:
    maps = load_maps(data, 64, 64)
    regions.pack(maps, 64, 64)


def read_image(data: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = decode_image(data).image
    if image.mode != "RGB":
        raise AssertionError(f"an image of mode {image.mode}")


def read_plugin(data: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = Image.open(io.BytesIO(data))
    if image.width * image.height <= MAX_PIXELS:
        image.verify()
