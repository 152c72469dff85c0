"""Random crops of photos with what their text and region streams would say: batches for the decoder's trainer.

shards ─► photo ─┬─► square ─► picture (3, S, S)
scenes ──────────┴─► the same square of the masks (3, S/8, S/8), texts
"""

from __future__ import annotations

import io
import random
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import webdataset
from PIL import Image
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset

from ...bits.regions.maps import RegionMaps
from ...models.decoder.scene import texts
from ..prepare.scenes import read_scenes
from .images import IMAGE_KEYS, cut, expand_sources, random_square

__all__ = ["ITEMS", "SceneBatch", "scene_loader"]

ITEMS = 3
FACTOR = 8
NEAR = (0.8, 1.4)
MIRROR_WORDS = ("left", "right")


@dataclass(frozen=True)
class SceneBatch:
    """Crops and what is said of them.

    Attributes:
        pictures: (B, 3, S, S) float in [0, 1]. masks: (B, 3, S/8, S/8) float in [0, 1], of the first three items.
        located: (B,) bool, whether there are masks. texts: of each picture the whole, then its items.
    """

    pictures: Tensor
    masks: Tensor
    located: Tensor
    texts: list[list[str]]


class SceneCrops(IterableDataset):  # type: ignore[type-arg]
    """Endless crops, (picture, masks, located, texts) each.

    Args:
        shards: WebDataset shards. scenes: by `misc.train.prepare.scenes`; photos that it lacks have no text.
        sharp: share of photos without captions, which are larger than those with.
        near: squares at about the photos' own scale, with the texture of a photo; else any part, up to the whole.

    Raises:
        ValueError: the scenes are of other photos.
    """

    def __init__(self, shards: list[Path], scenes: Path, size: int, seed: int, sharp: float, near: bool) -> None:
        self.shards, self.size, self.seed, self.sharp = expand_sources(shards)[0], size, seed, sharp
        self.scales = NEAR if near else None
        self.scenes = read_scenes(scenes)
        if not any(name in self.scenes for shard in self.shards for name in names_in(shard)):
            raise ValueError(f"{scenes.name} describes no photo of these shards")

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, bool, list[str]]]:
        worker = torch.utils.data.get_worker_info()
        draw = random.Random(self.seed * 1009 + (worker.id if worker else 0))
        kinds = [[s for s in self.shards if s.name.startswith("captioned") == captioned] for captioned in (True, False)]
        streams = [self._photos(shards, draw) if shards else None for shards in kinds]
        while True:
            captioned, sharp = streams
            stream = sharp if captioned is None or (sharp is not None and draw.random() < self.sharp) else captioned
            assert stream is not None
            yield self.crop(*next(stream), draw)

    def crop(self, name: str, photo: Image.Image, draw: random.Random) -> tuple[Tensor, Tensor, bool, list[str]]:
        """A random square of a photo."""
        description, maps = self.scenes.get(name, (None, None))
        box = random_square(photo, self.size, draw, self.scales)
        picture, side = cut(photo, box, self.size), self.size // FACTOR
        masks = mask_crop(
            maps, (box[0] / photo.width, box[1] / photo.height, box[2] / photo.width, box[3] / photo.height), side
        )
        whole, items = texts(description)
        said = [whole, *items[:ITEMS]]
        if draw.random() < 0.5 and not any(word in text for text in said for word in MIRROR_WORDS):
            picture, masks = picture.flip(2), masks.flip(2)
        return picture, masks, maps is not None, said

    def _photos(self, shards: list[Path], draw: random.Random) -> Iterator[tuple[str, Image.Image]]:
        urls = [str(shard) for shard in shards]
        dataset = webdataset.WebDataset(urls, resampled=True, shardshuffle=False, seed=draw.randrange(2**31))
        for name, data in dataset.shuffle(1500, rng=draw).to_tuple("__key__", IMAGE_KEYS):
            yield Path(name).name, Image.open(io.BytesIO(data))


def names_in(shard: Path) -> set[str]:
    """Of the photos of a shard."""
    with tarfile.open(shard) as files:
        return {Path(name).name.partition(".")[0] for name in files.getnames()}


def mask_crop(maps: RegionMaps | None, box: tuple[float, float, float, float], side: int) -> Tensor:
    """(3, side, side) float, soft masks in a part of the picture, given as shares of its sides; zero without maps."""
    planes = torch.zeros(ITEMS, side, side)
    if maps is not None and len(maps.masks):
        masks = torch.from_numpy(np.array(maps.masks[:ITEMS])).float()[None]
        left, top, right, bottom = (2 * share - 1 for share in box)
        step = (torch.arange(side) + 0.5) / side
        across, down = left + (right - left) * step, top + (bottom - top) * step
        grid = torch.stack(torch.meshgrid(down, across, indexing="ij")[::-1], -1)[None]
        planes[: masks.shape[1]] = functional.grid_sample(masks, grid, padding_mode="border", align_corners=False)[0]
    return planes


def collate(rows: list[Any]) -> SceneBatch:
    pictures, masks, located, said = zip(*rows, strict=True)
    return SceneBatch(torch.stack(pictures), torch.stack(masks), torch.tensor(located), list(said))


def scene_loader(
    shards: list[Path],
    scenes: Path,
    size: int,
    batch: int,
    seed: int,
    workers: int,
    *,
    near: bool = False,
    sharp: float = 0.6,
) -> DataLoader[SceneBatch]:
    """Endless batches."""
    crops = SceneCrops(shards, scenes, size, seed, sharp, near)
    return DataLoader(crops, batch_size=batch, num_workers=workers, collate_fn=collate)
