"""Photos for training: WebDataset shards (`.tar`) or folders of images, as random crops."""

from __future__ import annotations

import io
import json
import random
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import webdataset
from PIL import Image
from torch.utils.data import DataLoader, IterableDataset

__all__ = ["Crops", "crop_loader", "cut", "expand_sources", "named_photos", "random_square"]

Box = tuple[float, float, float, float]

IMAGE_KEYS = "webp;png;jpg;jpeg"
IMAGE_SUFFIXES = {".webp", ".png", ".jpg", ".jpeg"}


def expand_sources(sources: list[Path]) -> tuple[list[Path], list[Path]]:
    """Shards and image files that the sources name: each is a shard, an image or a folder of either.

    Raises:
        FileNotFoundError: a source is missing or nothing was found.
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


def named_photos(shards: list[Path]) -> Iterator[tuple[str, Image.Image, dict[str, Any]]]:
    """Name, RGB picture and facts of every photo of shards, in their order."""
    for shard in shards:
        with tarfile.open(shard) as archive:
            parts: dict[str, dict[str, bytes]] = {}
            for member in archive:
                name, _, suffix = Path(member.name).name.partition(".")
                known = parts.setdefault(name, {})
                known["json" if suffix.endswith("json") else "picture"] = archive.extractfile(member).read()  # type: ignore[union-attr]
                if len(known) == 2:
                    del parts[name]
                    yield name, Image.open(io.BytesIO(known["picture"])).convert("RGB"), json.loads(known["json"])


class Crops(IterableDataset):  # type: ignore[type-arg]
    """Endless random square crops, float (3, size, size) in [0, 1], flipped at random.

    A photo is scaled so that its shorter side is drawn between `size` and the larger of its own and 5/4 of `size`.
    """

    def __init__(self, sources: list[Path], size: int, seed: int) -> None:
        self.shards, self.images = expand_sources(sources)
        self.size, self.seed = size, seed

    def __iter__(self) -> Iterator[torch.Tensor]:
        worker = torch.utils.data.get_worker_info()
        draw = random.Random(self.seed * 1009 + (worker.id if worker else 0))
        for photo in self._photos(draw):
            yield random_crop(photo, self.size, draw)

    def _photos(self, draw: random.Random) -> Iterator[Image.Image]:
        if not self.shards:
            while True:
                yield Image.open(draw.choice(self.images))
        urls = [str(shard) for shard in self.shards]
        dataset = webdataset.WebDataset(urls, resampled=True, shardshuffle=False, seed=draw.randrange(2**31))
        for (data,) in dataset.shuffle(1500, rng=draw).to_tuple(IMAGE_KEYS):
            yield Image.open(io.BytesIO(data))


def random_crop(photo: Image.Image, size: int, draw: random.Random) -> torch.Tensor:
    """One crop of a photo: float (3, size, size) in [0, 1]."""
    pixels = cut(photo, random_square(photo, size, draw), size)
    return pixels.flip(2) if draw.random() < 0.5 else pixels


def random_square(photo: Image.Image, size: int, draw: random.Random, scales: tuple[float, float] | None = None) -> Box:
    """Left, top, right and bottom of a random square of a photo, in pixels.

    Args:
        scales: least and most by which a photo is scaled, as far as a square fits; if not given, its shorter side
            becomes between `size` and the larger of its own and 5/4 of `size`.
    """
    shorter = min(photo.size)
    least, most = (0.0, max(1.0, 1.25 * size / shorter)) if scales is None else scales
    target = draw.uniform(max(size, least * shorter), max(size, most * shorter))
    side = shorter * size / target
    left, top = draw.uniform(0, photo.width - side), draw.uniform(0, photo.height - side)
    return left, top, left + side, top + side


def cut(photo: Image.Image, box: Box, size: int) -> torch.Tensor:
    """A square of a photo: float (3, size, size) in [0, 1]."""
    crop = photo.convert("RGB").resize((size, size), Image.Resampling.LANCZOS, box)
    return torch.from_numpy(np.array(crop)).permute(2, 0, 1).float() / 255


def crop_loader(sources: list[Path], size: int, batch: int, seed: int, workers: int) -> DataLoader[torch.Tensor]:
    """Endless batches (batch, 3, size, size)."""
    return DataLoader(Crops(sources, size, seed), batch_size=batch, num_workers=workers)
