"""Photos for training: WebDataset shards (`.tar`) or folders of images, as random crops."""

from __future__ import annotations

import io
import itertools
import json
import random
import sys
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import webdataset
from PIL import Image
from torch.utils.data import DataLoader, IterableDataset

from ...errors import InputError
from ...models.image_tensors import to_tensor

__all__ = [
    "Crops",
    "crop_loader",
    "cut",
    "expand_sources",
    "named_photos",
    "random_square",
    "shard_photos",
    "worker_draw",
]

Box = tuple[float, float, float, float]

IMAGE_KEYS = "webp;png;jpg;jpeg"
IMAGE_SUFFIXES = {".webp", ".png", ".jpg", ".jpeg"}
MIXED = 1500  # photos in the shuffle buffer
MOST_UNREADABLE = 100  # files in a row that cannot be read before a run ends


def expand_sources(sources: list[Path]) -> tuple[list[Path], list[Path]]:
    """Shards and image files of the sources: each source is a shard, an image or a folder of either.

    Raises:
        FileNotFoundError: a source is missing, or there are no files.
    """
    files: list[Path] = []
    for source in sources:
        if not source.exists():
            raise FileNotFoundError(f"{source} does not exist")
        files += sorted(source.rglob("*")) if source.is_dir() else [source]
    shards = [file for file in files if file.suffix == ".tar"]
    images = [file for file in files if file.suffix.lower() in IMAGE_SUFFIXES]
    if not shards and not images:
        raise FileNotFoundError(f"no .tar shards and no images in {', '.join(map(str, sources))}")
    return shards, images


def named_photos(sources: list[Path]) -> Iterator[tuple[str, Image.Image, dict[str, Any]]]:
    """Name, RGB image and facts of every photo of shards, in their order.

    A photo's members are an image and JSON, recognised by their last suffix; others, such as texts, are skipped.

    Args:
        sources: shards, or folders of them.

    Raises:
        FileNotFoundError: a source is missing, or a folder has no shards.
    """
    for shard in list_shards(sources):
        with tarfile.open(shard) as archive:
            parts: dict[str, dict[str, bytes]] = {}
            for member in archive:
                kind = member_kind(member)
                if kind is None:
                    continue
                name = Path(member.name).name.partition(".")[0]
                members = parts.setdefault(name, {})
                members[kind] = archive.extractfile(member).read()  # type: ignore[union-attr]
                if len(members) == 2:
                    del parts[name]
                    yield name, open_photo(io.BytesIO(members["image"]), name), json.loads(members["json"])


def open_photo(file: Path | io.BytesIO, name: str) -> Image.Image:
    """The RGB image of a file; InputError with its name if it cannot be read."""
    try:
        with Image.open(file) as image:
            return image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{name} is no image that can be read") from error


def readable(files: Iterable[tuple[str, Path | io.BytesIO]]) -> Iterator[tuple[str, Image.Image]]:
    """Names and RGB images of the files that can be read; each of the others is told of once, on standard error.

    Raises:
        InputError: MOST_UNREADABLE files in a row cannot be read.
    """
    told, missed = set[str](), 0
    for name, file in files:
        try:
            photo = open_photo(file, name)
        except InputError as error:
            missed += 1
            if missed == MOST_UNREADABLE:
                raise
            if name not in told:
                print(f"{error}: left out", file=sys.stderr, flush=True)
            told.add(name)
            continue
        missed = 0
        yield name, photo


def list_shards(sources: list[Path]) -> list[Path]:
    """The shards of sources, each a shard or a folder of shards, as `named_photos`."""
    shards: list[Path] = []
    for source in sources:
        found = sorted(source.rglob("*.tar")) if source.is_dir() else [source]
        if not found:
            raise FileNotFoundError(f"no .tar shards in {source}")
        shards += found
    return shards


def member_kind(member: tarfile.TarInfo) -> str | None:
    """Whether a member of a shard is an `image`, `json`, or neither."""
    suffix = Path(member.name).suffix.lower()
    if not member.isfile():
        return None
    return "json" if suffix == ".json" else "image" if suffix in IMAGE_SUFFIXES else None


def shard_photos(shards: Sequence[Path], draw: random.Random) -> Iterator[tuple[str, Image.Image]]:
    """Endless names and photos of randomly drawn shards, shuffled in a buffer.

    Args:
        shards: WebDataset shards.
        draw: gives the order; the same state gives the same order.
    """
    urls, seed = [str(shard) for shard in shards], draw.randrange(2**31)
    photos = webdataset.DataPipeline(
        # Otherwise webdataset also uses the time and the process as seeds.
        webdataset.ResampledShards(urls, seed=seed, worker_seed=lambda: 0, deterministic=True),
        webdataset.tarfile_to_samples(),
        webdataset.shuffle(MIXED, rng=draw),
        webdataset.to_tuple("__key__", IMAGE_KEYS),
    )
    yield from readable((Path(name).name, io.BytesIO(data)) for name, data in photos)


def worker_draw(seed: int) -> random.Random:
    """The random number generator of this DataLoader process."""
    worker = torch.utils.data.get_worker_info()
    return random.Random(f"{seed} {worker.id if worker else 0}")


class Crops(IterableDataset):  # type: ignore[type-arg]
    """Endless random square crops, float (3, size, size) in [0, 1], flipped at random.

    A photo is scaled so that its shorter side is drawn between `size` and the larger of its own and 5/4 of `size`.

    Args:
        sources: shards, images, or folders of them; if there are shards, single images are ignored.
        size: side of a crop in pixels.
        seed: the same seed gives the same crops; each worker of a DataLoader draws different ones.
    """

    def __init__(self, sources: list[Path], size: int, seed: int) -> None:
        self.shards, self.images = expand_sources(sources)
        self.size, self.seed = size, seed

    def __iter__(self) -> Iterator[torch.Tensor]:
        draw = worker_draw(self.seed)
        for photo in self._photos(draw):
            yield random_crop(photo, self.size, draw)

    def _photos(self, draw: random.Random) -> Iterator[Image.Image]:
        if self.shards:
            found = shard_photos(self.shards, draw)
        else:
            paths = (draw.choice(self.images) for _ in itertools.count())
            found = readable((path.name, path) for path in paths)
        for _, photo in found:
            yield photo


def random_crop(photo: Image.Image, size: int, draw: random.Random) -> torch.Tensor:
    """One crop of a photo: float (3, size, size) in [0, 1]."""
    pixels = cut(photo, random_square(photo, size, draw), size)
    return pixels.flip(2) if draw.random() < 0.5 else pixels


def random_square(photo: Image.Image, size: int, draw: random.Random) -> Box:
    """Left, top, right and bottom of a random square of a photo, in pixels.

    Args:
        photo: of any size.
        size: side of the square after scaling. The photo's shorter side is scaled to a random length between `size` and
            the larger of its own length and 5/4 of `size`.
        draw: gives scale and place.
    """
    shorter = min(photo.size)
    target = draw.uniform(size, max(size, shorter, 1.25 * size))
    side = shorter * size / target
    left, top = draw.uniform(0, photo.width - side), draw.uniform(0, photo.height - side)
    return left, top, left + side, top + side


def cut(photo: Image.Image, box: Box, size: int) -> torch.Tensor:
    """A square of a photo: float (3, size, size) in [0, 1]."""
    crop = photo.convert("RGB").resize((size, size), Image.Resampling.LANCZOS, box)
    return to_tensor(crop)[0]


def crop_loader(sources: list[Path], size: int, batch: int, seed: int, workers: int) -> DataLoader[torch.Tensor]:
    """Endless batches (batch, 3, size, size) in [0, 1]; the same seed and number of workers give the same batches."""
    return DataLoader(Crops(sources, size, seed), batch_size=batch, num_workers=workers)
