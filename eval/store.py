"""The folder of a run. Every file is complete or does not exist, so a stopped run can be continued.

OUT/run.json                                    data set, rates, seed, versions
OUT/seconds.json                                time of encoding, decoding and measuring so far
OUT/codecs/CODEC/setting.json                   how the codec was opened
OUT/codecs/CODEC/RATE/PHOTO.encode.json, .bin   seconds, bytes of parts; the file. Or why there is no file
OUT/codecs/CODEC/RATE/PHOTO.decode.json, .png   seconds, text and regions; the decoded image
OUT/codecs/CODEC/RATE/PHOTO.figures.json, .npy  metrics; features for the Fréchet distance
OUT/originals/PHOTO.npy                         the same features of the original
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..cli.files import text_bytes, write_bytes
from ..errors import InputError, UsageError
from .codecs.codec import Setting
from .photos import photos_of

__all__ = ["OWN", "Photo", "Place", "Store", "find_photos", "parse_rates", "read_json", "write_json"]

OWN = "own"  # the rate of a codec with one file per image
POINTS = 7  # number of rates in a range
MOST_POINTS = 100


@dataclass(frozen=True)
class Photo:
    """A photo of the data set: its file, and the file's SHA-256."""

    path: Path
    sha256: str

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name


@dataclass(frozen=True)
class Place:
    """Where one file of one codec lies: CODEC/RATE/PHOTO without its endings."""

    stem: str

    def file(self, ending: str) -> Path:
        """The path with an ending, such as `bin`."""
        return Path(f"{self.stem}.{ending}")

    @property
    def encoded(self) -> bool:
        """Whether there is a file, or a reason why there is none."""
        return self.file("bin").is_file() or "none" in (read_json(self.file("encode.json")) or {})

    @property
    def to_decode(self) -> bool:
        """Whether there is a file that is not decoded yet."""
        return self.file("bin").is_file() and not self.file("png").is_file()

    def to_measure(self, metrics: Sequence[str]) -> bool:
        """Whether there is a decoded image for which not all of these metrics were tried."""
        if not self.file("png").is_file():
            return False
        known = read_json(self.file("figures.json")) or {"values": {}, "missing": {}}
        return not set(metrics) <= {*known["values"], *known["missing"]}


@dataclass(frozen=True)
class Store:
    """The folder of one run."""

    folder: Path

    def open(self, facts: dict[str, Any], settings: Sequence[Setting]) -> None:
        """Begin or continue a run.

        Raises:
            InputError: the folder holds a run with other photos, or with other settings of a codec.
        """
        known = read_json(self.folder / "run.json")
        if known and any(known[key] != facts[key] for key in ("photos", "seed", "versions")):
            key = next(key for key in ("photos", "seed", "versions") if known[key] != facts[key])
            raise InputError(f"{self.folder} holds a run with other {key}: give another folder")
        for setting in settings:
            place = self.codec(setting.name) / "setting.json"
            former = read_json(place)
            if former and former != asdict(setting):
                raise InputError(f"{self.folder} holds another codec that is named {setting.name}: give another folder")
            place.parent.mkdir(parents=True, exist_ok=True)
            if not former:
                write_json(place, asdict(setting))
        (self.folder / "originals").mkdir(exist_ok=True)
        write_json(self.folder / "run.json", facts)

    def add_seconds(self, what: str, seconds: float) -> None:
        """Add the processes' time for encoding, decoding or measuring, including loading."""
        known = self.seconds()
        write_json(self.folder / "seconds.json", {**known, what: known.get(what, 0.0) + seconds})

    def seconds(self) -> dict[str, float]:
        """Seconds of the processes for every part of the run; a killed part is not included."""
        return dict(read_json(self.folder / "seconds.json") or {})

    def codec(self, name: str) -> Path:
        """The folder of a codec."""
        return self.folder / "codecs" / name.replace("/", "_").replace(":", "-")

    def place(self, setting: Setting, rate: str, photo: str) -> Place:
        """The place of a codec's file of a photo at a rate; its folder is created."""
        folder = self.codec(setting.name) / rate
        folder.mkdir(parents=True, exist_ok=True)
        return Place(str(folder / photo))


def find_photos(dataset: Path, limit: int | None = None) -> list[Photo]:
    """Photos of a folder, by name, or the one photo of a file.

    Raises:
        InputError: there are none.
    """
    paths = photos_of(dataset, limit)
    return [Photo(path.absolute(), hashlib.sha256(path.read_bytes()).hexdigest()) for path in paths]


def parse_rates(text: str) -> list[float]:
    """Bits a pixel from `0.01,0.024`, or from `0.003..0.05` or `0.003..0.05:9`, which are spaced evenly in octaves.

    Raises:
        UsageError: it is neither.
    """
    try:
        first, dots, rest = text.partition("..")
        if dots:
            last, _, count = rest.partition(":")
            ends = float(first), float(last)
            points = int(count or POINTS)
            if points > MOST_POINTS:
                raise UsageError(f"rates are at most {MOST_POINTS}, not {points}")
            rates = [float(rate) for rate in np.geomspace(*ends, points)] if min(ends) > 0 else []
        else:
            rates = [float(rate) for rate in text.split(",")]
    except ValueError as error:
        raise UsageError(f"rates are given as 0.01,0.024 or 0.003..0.05, not {text!r}") from error
    if not rates or not all(0 < rate < 100 for rate in rates):
        raise UsageError(f"rates are above 0 and below 100 bits per pixel, not {text!r}")
    return sorted({float(f"{rate:.4g}") for rate in rates})


def read_json(path: Path) -> Any:
    """The content of a JSON file, or None if there is no file."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, complete or not at all."""
    write_bytes(str(path), text_bytes(json.dumps(value, indent=1, ensure_ascii=False) + "\n"))


def write_array(path: Path, array: Any) -> None:
    """Write a NumPy file, complete or not at all."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    write_bytes(str(path), buffer.getvalue())
