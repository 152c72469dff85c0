"""Results of a run: gathered from its folder, kept as one JSON file, and written as CompressAI's JSON and as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...cli.files import text_bytes, write_bytes
from ...errors import InputError
from ..metrics.catalogue import METRICS
from ..metrics.frechet import frechet_distance
from ..store import Place, Store, read_json, write_json

__all__ = ["CodecResults", "Point", "Results", "collect", "load", "save", "write_compressai", "write_csv"]

COMPRESSAI = {"psnr": "psnr-rgb", "ms_ssim": "ms-ssim-rgb"}  # CompressAI's names for these metrics


@dataclass(frozen=True)
class Point:
    """One photo by one codec at one rate.

    Attributes:
        bpp: bits per pixel of the whole file.
        streams: bytes of its parts.
        values: figures by metric.
        missing: reasons of the metrics that could not run.
        content: text and items, if the codec gives them.
        encode_s, decode_s: seconds; None for the first of a process, which loads the models.
    """

    bpp: float
    bytes: int
    streams: dict[str, int]
    values: dict[str, float]
    missing: dict[str, str] = field(default_factory=dict)
    content: dict[str, Any] = field(default_factory=dict)
    encode_s: float | None = None
    decode_s: float | None = None


@dataclass
class CodecResults:
    """One codec.

    Attributes:
        points: {photo: {rate: point}}.
        none: {photo: {rate: why there is no file}}.
        failed: {photo: sentence}.
        frechet: {rate: distance of all photos' patches}.
        problem: why the codec could not run.
    """

    name: str
    kind: str
    points: dict[str, dict[str, Point]] = field(default_factory=dict)
    none: dict[str, dict[str, str]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    frechet: dict[str, float] = field(default_factory=dict)
    problem: str | None = None

    @property
    def rates(self) -> list[str]:
        """Rates at which every photo of the codec has a file, from low to high."""
        rates = [set(by_rate) for by_rate in self.points.values() if by_rate]
        common = set.intersection(*rates) if rates else set()
        return sorted(common, key=lambda rate: self.mean(rate, "bpp"))

    def mean(self, rate: str, figure: str) -> float:
        """Mean over the photos of a metric or of `bpp`, `bytes`, `encode_s`, `decode_s`; NaN if there is none."""
        if figure == "frechet":
            return self.frechet.get(rate, math.nan)
        rows = [by_rate[rate] for by_rate in self.points.values() if rate in by_rate]
        values = [value for value in (value_of(row, figure) for row in rows) if value is not None]
        complete = len(values) == len(rows) or figure in ("encode_s", "decode_s")
        return math.fsum(values) / len(values) if values and complete else math.nan

    def count(self, rate: str) -> int:
        """Number of photos that have a file at this rate."""
        return sum(rate in by_rate for by_rate in self.points.values())

    def bits(self, rate: str) -> dict[str, float]:
        """Mean bits of each part of the file."""
        rows = [by_rate[rate] for by_rate in self.points.values() if rate in by_rate]
        names = list(dict.fromkeys(name for row in rows for name in row.streams))
        return {name: 8 * math.fsum(row.streams.get(name, 0) for row in rows) / len(rows) for name in names}


@dataclass
class Results:
    """A run: its facts, and its codecs by name.

    `run["seconds"]` has the processes' time for encoding, decoding and measuring, and the codecs' share of it.
    """

    run: dict[str, Any]
    codecs: dict[str, CodecResults]


def value_of(point: Point, figure: str) -> float | None:
    """A figure of a point."""
    if figure in ("bpp", "bytes", "encode_s", "decode_s"):
        value = getattr(point, figure)
        return None if value is None else float(value)
    return point.values.get(figure)


def collect(store: Store, codec_troubles: dict[str, str], photo_troubles: dict[str, dict[str, str]]) -> Results:
    """Results of all finished work in a run's folder, with the failures of the present run."""
    facts = read_json(store.folder / "run.json")
    sizes = sizes_of(store, facts["photos"])
    codecs, spent = {}, 0.0
    for name in facts["codecs"]:
        folder = store.codec(name)
        results = CodecResults(name, (read_json(folder / "setting.json") or {"kind": "?"})["kind"])
        results.problem = codec_troubles.get(name)
        results.failed = photo_troubles.get(name, {})
        for rate in sorted(path.name for path in folder.iterdir() if path.is_dir()):
            for photo in facts["photos"]:
                place = Place(str(folder / rate / photo))
                encoded = read_json(place.file("encode.json")) or {}
                spent += encoded.get("seconds", 0.0) + (read_json(place.file("decode.json")) or {}).get("seconds", 0.0)
                if "none" in encoded:
                    results.none.setdefault(photo, {})[rate] = encoded["none"]
                elif (figures := read_json(place.file("figures.json"))) and photo in sizes:
                    results.points.setdefault(photo, {})[rate] = point_of(place, encoded, figures, sizes[photo])
            distance = frechet_of(store, folder / rate, [p for p, rates in results.points.items() if rate in rates])
            if not math.isnan(distance):
                results.frechet[rate] = distance
        codecs[name] = results
    facts["seconds"] = {**store.seconds(), "codecs": spent}
    return Results(facts, codecs)


def sizes_of(store: Store, photos: dict[str, str]) -> dict[str, int]:
    """Pixels of each photo, from any image that was decoded."""
    from PIL import Image

    sizes: dict[str, int] = {}
    for path in (store.folder / "codecs").glob("*/*/*.png"):
        photo = path.name.removesuffix(".png")
        if photo in photos and photo not in sizes:
            with Image.open(path) as image:
                sizes[photo] = image.width * image.height
    return sizes


def point_of(place: Place, encoded: dict[str, Any], figures: dict[str, Any], pixels: int) -> Point:
    """The point of a place that is measured."""
    decoded, size = read_json(place.file("decode.json")), place.file("bin").stat().st_size
    return Point(
        bpp=8 * size / pixels,
        bytes=size,
        streams=encoded["streams"],
        values={name: value for name, value in figures["values"].items() if value is not None},
        missing=figures["missing"],
        content=decoded.get("content", {}),
        encode_s=None if encoded["first"] else encoded["seconds"],
        decode_s=None if decoded["first"] else decoded["seconds"],
    )


def frechet_of(store: Store, folder: Path, photos: list[str]) -> float:
    """Fréchet distance of the images of these photos and their originals, NaN where features are missing."""
    pairs = [(store.folder / "originals" / f"{photo}.npy", folder / f"{photo}.npy") for photo in photos]
    if not pairs or not all(path.is_file() for pair in pairs for path in pair):
        return math.nan
    a, b = (np.concatenate([np.load(pair[k]) for pair in pairs]) for k in (0, 1))
    return frechet_distance(a, b)


def save(results: Results, path: Path) -> None:
    """Write results as one JSON file."""
    codecs = {name: asdict(codec) for name, codec in results.codecs.items()}
    metrics = {
        name: {"label": m.label, "unit": m.unit, "rises": m.rises, "role": m.role, "what": m.what}
        for name, m in METRICS.items()
    }
    write_json(path, {"run": results.run, "metrics": metrics, "codecs": codecs})


def load(path: Path) -> Results:
    """Results that `save` wrote; a run's folder stands for the file in it.

    Raises:
        InputError: there are none, or it is another file.
    """
    path = path / "results.json" if path.is_dir() else path
    try:
        value = read_json(path)
        codecs = {
            name: CodecResults(
                **{
                    **codec,
                    "points": {
                        photo: {rate: Point(**point) for rate, point in by_rate.items()}
                        for photo, by_rate in codec["points"].items()
                    },
                }
            )
            for name, codec in value["codecs"].items()
        }
        return Results(value["run"], codecs)
    except (TypeError, KeyError, ValueError, OSError) as error:
        raise InputError(f"{path} does not hold results of `misc eval run`") from error


def write_compressai(results: Results, folder: Path) -> None:
    """One file per codec in CompressAI's schema, with additional metrics and the bits of each part."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, codec in results.codecs.items():
        rates = codec.rates
        columns: dict[str, list[Any]] = {"bpp": [codec.mean(rate, "bpp") for rate in rates]}
        for metric in METRICS:
            values = [codec.mean(rate, metric) for rate in rates]
            if values and not any(math.isnan(value) for value in values):
                columns[COMPRESSAI.get(metric, metric)] = values
        for key, figure in (("encoding_time", "encode_s"), ("decoding_time", "decode_s")):
            values = [codec.mean(rate, figure) for rate in rates]
            columns[key] = [None if math.isnan(value) else value for value in values]
        columns["bits"] = [codec.bits(rate) for rate in rates]
        description = f"{len(codec.points)} photos, means; misc-codec {results.run['versions']['misc-codec']}"
        target = folder / f"{name.replace('/', '_').replace(':', '-')}.json"
        write_json(target, {"name": name, "description": description, "results": columns})


def rows_of(results: Results) -> Iterator[dict[str, Any]]:
    """One flat row per photo, codec and rate."""
    for name, codec in results.codecs.items():
        for photo, by_rate in codec.points.items():
            for rate, point in by_rate.items():
                yield {
                    "codec": name,
                    "photo": photo,
                    "rate": rate,
                    "bpp": point.bpp,
                    "bytes": point.bytes,
                    "encode_s": point.encode_s,
                    "decode_s": point.decode_s,
                    **point.values,
                    **{f"bytes of {stream}": size for stream, size in point.streams.items()},
                }


def write_csv(results: Results, path: Path) -> None:
    """One row per photo, codec and rate."""
    rows = list(rows_of(results))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(str(path), text_bytes(buffer.getvalue()))
