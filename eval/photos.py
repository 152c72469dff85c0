"""The photos that a measurement reads."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from ..errors import InputError
from ..images import decode_image
from ..models.memory.sources import Photo, find_photos

__all__ = ["all_photos", "open_photo", "photos_of", "some_photos", "spread"]

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".ppm"})


def photos_of(source: Path, limit: int | None = None) -> list[Path]:
    """Photos of a folder, sorted by name, at most `limit`, or the one photo of a file.

    Raises:
        InputError: there are none.
    """
    if not source.exists():
        raise InputError(f"there is no {source}")
    files = [source] if source.is_file() else sorted(source.iterdir())
    photos = [path for path in files if path.suffix.lower() in SUFFIXES and path.is_file()]
    if not photos:
        raise InputError(f"there are no photos in {source} ({', '.join(sorted(SUFFIXES))})")
    return photos[:limit]


def all_photos(data: Path) -> list[Photo]:
    """Photos of a shard, or of a folder and its subfolders.

    Raises:
        InputError: there are none.
    """
    photos = list(find_photos([data]))
    if not photos:
        raise InputError(f"there are no photos in {data}")
    return photos


def some_photos(data: Path, limit: int) -> list[Photo]:
    """At most `limit` of `all_photos`, evenly spaced."""
    photos = all_photos(data)
    return [photos[k] for k in spread(len(photos), limit)]


def open_photo(photo: Photo) -> Image.Image:
    """The image of a photo, upright, RGB.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return decode_image(photo.data).image
    except InputError as error:
        raise InputError(f"{photo.name}: {error}") from error


def spread(count: int, most: int) -> list[int]:
    """At most `most` indices of `count` items, evenly spaced, from the first on."""
    chosen = min(count, most)
    return [k * count // chosen for k in range(chosen)]
