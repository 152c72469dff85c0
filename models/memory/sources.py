"""Photos for a memory, from folders of images and WebDataset shards, with their licences.

A shard (`.tar`) holds an image and a `.json` with `source` and `licence` for each photo. For an image in a folder, the
source is the folder's name, and the user states the licence.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ...errors import InputError

__all__ = ["Photo", "find_photos"]

SUFFIXES = frozenset({".avif", ".jpeg", ".jpg", ".png", ".webp"})


@dataclass(frozen=True)
class Photo:
    """One photo: its coded image, and its name (in a folder its path there), source and licence."""

    name: str
    data: bytes
    source: str
    licence: str

    def open(self) -> Image.Image:
        """The image in RGB.

        Raises:
            InputError: it cannot be read.
        """
        try:
            with Image.open(io.BytesIO(self.data)) as image:
                return image.convert("RGB")
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise InputError(f"{self.name} is no image that can be read") from error


def find_photos(paths: Sequence[Path], licences: Sequence[str] = (), stated: str = "") -> Iterator[Photo]:
    """All photos of folders, images and shards, in the order of their names in each.

    Args:
        paths: folders, images, or `.tar` shards.
        licences: a photo's licence must contain one of these texts; if empty, all photos are used.
        stated: licence of photos that do not come from a shard.

    Raises:
        InputError: a path is missing or of another kind.
    """
    for path in paths:
        if path.suffix == ".tar" and path.is_file():
            photos = read_shard(path)
        elif path.is_dir():
            files = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
            photos = (Photo(file.relative_to(path).as_posix(), file.read_bytes(), path.name, stated) for file in files)
        elif path.is_file() and path.suffix.lower() in SUFFIXES:
            photos = iter([Photo(path.name, path.read_bytes(), path.parent.name, stated)])
        else:
            raise InputError(f"{path} is no folder, image or shard")
        for photo in photos:
            if not licences or any(text in photo.licence for text in licences):
                yield photo


def read_shard(path: Path) -> Iterator[Photo]:
    """Photos of a shard; an image without its JSON, or the reverse, is left out."""
    waiting: dict[str, dict[str, bytes]] = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name, _, suffix = Path(member.name).name.partition(".")
                content = archive.extractfile(member)
                kind = "json" if suffix == "json" else "image" if f".{suffix}".lower() in SUFFIXES else ""
                if content is None or not kind:
                    continue
                parts = waiting.setdefault(name, {})
                parts[kind] = content.read()
                if len(parts) == 2:
                    del waiting[name]
                    facts = json.loads(parts["json"])
                    yield Photo(name, parts["image"], str(facts.get("source", "")), str(facts.get("licence", "")))
    except (tarfile.TarError, EOFError, ValueError, AttributeError) as error:
        raise InputError(f"{path.name} is no shard of photos") from error
