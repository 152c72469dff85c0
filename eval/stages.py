"""The stages of a run, each in its own processes: encode, decode from the file alone, measure. One photo at a time.

Every function here is a target of `misc.pool.run_jobs`: it is called with a setup and returns the function that does a
job. A job names a photo and places. Finished results are on disk, whatever happens afterwards.
"""

from __future__ import annotations

import functools
import io
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from ..cli.files import write_bytes
from ..errors import BitstreamError, BudgetError, InputError
from ..images import decode_image
from .codecs import Setting, WithStreams, open_codec
from .store import Place, read_json, write_array, write_json

__all__ = ["decoding", "encoding", "measuring"]

EQUAL = 99.0  # dB for equal images, because JSON has no infinity

Job = Mapping[str, Any]
Work = Callable[[Job], dict[str, Any]]


def encoding(setup: Job) -> Work:
    """Encode with the codec `setting`. A job: `photo`, and `points`, each with `stem` and `bpp`."""
    codec, number = open_codec(Setting(**setup["setting"])), 0

    def work(job: Job) -> dict[str, Any]:
        nonlocal number
        image = read_photo(job["photo"])
        for point in job["points"]:
            place, start = Place(point["stem"]), time.perf_counter()
            try:
                data = codec.encode(image, point["bpp"])
            except BudgetError as error:
                write_json(place.file("encode.json"), {"none": str(error), "seconds": time.perf_counter() - start})
                continue
            seconds, number = time.perf_counter() - start, number + 1
            facts = {"seconds": seconds, "first": number == 1, "bytes": len(data), "streams": {"file": len(data)}}
            if isinstance(codec, WithStreams):
                facts["streams"] = codec.streams(data)
            write_json(place.file("encode.json"), facts)
            write_bytes(str(place.file("bin")), data)
        return {}

    return work


def decoding(setup: Job) -> Work:
    """Decode with the codec `setting`. A job: `points`, each with a `stem`; photos are never opened."""
    codec, number = open_codec(Setting(**setup["setting"])), 0

    def work(job: Job) -> dict[str, Any]:
        nonlocal number
        for point in job["points"]:
            place = Place(point["stem"])
            data, start = place.file("bin").read_bytes(), time.perf_counter()
            image = codec.decode(data)
            seconds, number = time.perf_counter() - start, number + 1
            if not isinstance(image, Image.Image):
                raise BitstreamError("the codec decodes to something that is not an image")
            facts: dict[str, Any] = {"seconds": seconds, "first": number == 1}
            if isinstance(codec, WithStreams):
                facts["content"] = codec.content(data)
            write_json(place.file("decode.json"), facts)
            write_bytes(str(place.file("png")), png_of(image))
        return {}

    return work


def measuring(setup: Job) -> Work:
    """Measure `metrics`. A job: `photo`, `original` (the file of its features), and `points`, each with a `stem`."""
    from ..codec import Codec
    from .metrics import METRICS, Panel
    from .metrics.frechet import patch_features

    wanted = list(setup["metrics"])
    frechet = "frechet" in wanted
    panel = Panel(Codec().semantics, [name for name in wanted if not METRICS[name].of_set])

    read_original = functools.lru_cache(maxsize=1)(read_photo)  # the same photo comes once for each codec

    def work(job: Job) -> dict[str, Any]:
        original = read_original(job["photo"])
        if frechet and not Path(job["original"]).is_file():
            write_array(Path(job["original"]), patch_features(panel.semantics.tower, original))
        for point in job["points"]:
            place = Place(point["stem"])
            image = Image.open(place.file("png")).convert("RGB")
            figures = panel.figures(original, image)
            values: dict[str, float | None] = {**figures.values}
            if frechet:
                write_array(place.file("npy"), patch_features(panel.semantics.tower, image))
                values["frechet"] = None  # it belongs to all photos together
            former = read_json(place.file("figures.json")) or {"values": {}, "missing": {}}
            finite = {name: EQUAL if value == float("inf") else value for name, value in values.items()}
            both = {
                "values": former["values"] | finite,
                "missing": {k: v for k, v in (former["missing"] | figures.missing).items() if k not in values},
            }
            write_json(place.file("figures.json"), both)
        return {}

    return work


def png_of(image: Image.Image) -> bytes:
    """An image as PNG with the fastest compression; its time does not count for a codec."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def read_photo(name: str) -> Image.Image:
    """A photo, upright and RGB.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return decode_image(Path(name).read_bytes()).image
    except OSError as error:
        raise InputError(f"cannot read {Path(name).name}: {error.strerror}") from error
