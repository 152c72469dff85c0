"""Random crops of photos with their texts and masks: batches for the generator's trainer.

shards ─► photo ─┬─► square ─► image (3, S, S)
scenes ──────────┴─► the same square of the masks at a quarter (3, S/4, S/4), texts
"""

from __future__ import annotations

import random
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset

from ...bits.regions.maps import RegionMaps
from ...errors import InputError
from ...models.decoder.quarter_autoencoder import QUARTER
from ...models.decoder.scene import texts
from ..prepare.scenes import read_scenes
from .images import cut, expand_sources, random_square, shard_photos, worker_draw

__all__ = ["ITEMS", "SceneBatch", "mask_crop", "scene_loader"]

ITEMS = 3
MIRROR_WORDS = ("left", "right")


@dataclass(frozen=True)
class SceneBatch:
    """B crops with their texts and masks.

    Attributes:
        images: (B, 3, S, S) float in [0, 1].
        masks: (B, 3, S/4, S/4) float in [0, 1], of the first three items.
        located: (B,) bool, whether there are masks.
        texts: for each image the overall sentence, then its items.
    """

    images: Tensor
    masks: Tensor
    located: Tensor
    texts: list[list[str]]


class SceneCrops(IterableDataset):  # type: ignore[type-arg]
    """Endless crops, each (image, masks, located, texts).

    A crop is chosen for a side of S/4, the size at which the generator draws, and then enlarged. So a photo of 224
    pixels gives its whole scene, and a large photo gives parts of every size.

    Args:
        sources: WebDataset shards, or folders of them.
        scenes: file that `misc.train.prepare.scenes` wrote; photos that it lacks have no text.
        size: S, a multiple of 64 pixels.
        seed: the same seed gives the same crops; each worker of a DataLoader draws different ones.
        sharp: share of photos from shards that are not named `captioned*`; these have the larger photos.

    Raises:
        InputError: the scenes belong to other photos.
    """

    def __init__(self, sources: list[Path], scenes: Path, size: int, seed: int, sharp: float) -> None:
        self.shards, self.size, self.seed, self.sharp = expand_sources(sources)[0], size, seed, sharp
        self.scenes = read_scenes(scenes)
        if not any(name in self.scenes for shard in self.shards for name in names_in(shard)):
            raise InputError(f"{scenes.name} describes no photo of these shards")

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, bool, list[str]]]:
        draw = worker_draw(self.seed)
        kinds = [[s for s in self.shards if s.name.startswith("captioned") == captioned] for captioned in (True, False)]
        streams = [shard_photos(shards, random.Random(draw.random())) if shards else None for shards in kinds]
        while True:
            captioned, sharp = streams
            stream = sharp if captioned is None or (sharp is not None and draw.random() < self.sharp) else captioned
            assert stream is not None
            yield self.crop(*next(stream), draw)

    def crop(self, name: str, photo: Image.Image, draw: random.Random) -> tuple[Tensor, Tensor, bool, list[str]]:
        """A random square of a photo, mirrored at random unless its text tells left from right."""
        description, maps = self.scenes.get(name, (None, None))
        side = self.size // QUARTER
        box = random_square(photo, side, draw)
        image = cut(photo, box, self.size)
        shares = (box[0] / photo.width, box[1] / photo.height, box[2] / photo.width, box[3] / photo.height)
        masks = mask_crop(maps, shares, side)
        whole, items = texts(description)
        said = [whole, *items[:ITEMS]]
        if draw.random() < 0.5 and not any(word in text for text in said for word in MIRROR_WORDS):
            image, masks = image.flip(2), masks.flip(2)
        return image, masks, maps is not None, said


def names_in(shard: Path) -> set[str]:
    """Names of the photos of a shard."""
    with tarfile.open(shard) as files:
        return {Path(name).name.partition(".")[0] for name in files.getnames()}


def mask_crop(maps: RegionMaps | None, box: tuple[float, float, float, float], side: int) -> Tensor:
    """Soft masks (3, side, side) float in a part of an image; zero without maps.

    Args:
        maps: of the whole image.
        box: left, top, right and bottom of the part, as shares of the image's sides.
        side: of the result.
    """
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
    """A batch of items from `SceneCrops`."""
    images, masks, located, said = zip(*rows, strict=True)
    return SceneBatch(torch.stack(images), torch.stack(masks), torch.tensor(located), list(said))


def scene_loader(
    sources: list[Path], scenes: Path, size: int, batch: int, seed: int, workers: int, sharp: float = 0.6
) -> DataLoader[SceneBatch]:
    """Endless batches; arguments as of `SceneCrops`."""
    crops = SceneCrops(sources, scenes, size, seed, sharp)
    return DataLoader(crops, batch_size=batch, num_workers=workers, collate_fn=collate)
