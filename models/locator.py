"""The locator: where the items are in an image.

    image ─► dense embeddings (rows, columns, C) ─┐
    names ─► text embeddings (items, C) ──────────┴─► similarity ─► coarse grid ─► adaptive threshold ─► RegionMaps

It works with any CLIP that gives one embedding per patch: the embedded CLIP (`misc.models.clip.embedded`), or an
open_clip model with value-value attention (`misc.models.clip.dense`). In the embedded CLIP, the name of each detected
object is first added to the patches of its box. Maps of different items may overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ..bits.regions.maps import DEFAULT_GRID, RegionMaps, grid_shape
from .clip.embedded import ClipHeads
from .towers.detector import Detection, Detector
from .towers.text_features import TextTower
from .towers.vision import patch_tokens, to_input
from .towers.vit import VisionTransformer

__all__ = ["SCORE", "DenseClip", "EmbeddedClip", "locate", "maps_of", "similarity"]

FINE = 4  # samples of the similarity per side of a cell
WRITING = 64  # side of the grid into which names of objects are written
SCORE, TRUST = 0.1, 0.75  # least score of such an object, and exponent of the score in its weight
WRITTEN, EDGE = 2.0, 0.8  # weight of an object of score 1, and share of it at the sides of the box
LEVEL = 0.35  # threshold, from the mean of a map (0) to its highest cell (1)

Map = npt.NDArray[np.float32]


class DenseClip(Protocol):
    """Embeddings of patches and of texts in one space; their product is a similarity."""

    def embed_patches(self, image: Image.Image) -> Tensor:
        """(rows, columns, C) of an RGB image; the grid covers the whole image."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """(texts, C)."""
        ...


class EmbeddedClip:
    """The embedded profile's CLIP.

    Args:
        tower: of `misc.models.towers.vision`.
        text: of `misc.models.towers.text_features`.
        heads: of `misc.models.clip.embedded`.
        detector: of `misc.models.towers.detector`, if there is one.
    """

    def __init__(
        self, tower: VisionTransformer, text: TextTower, heads: ClipHeads, detector: Detector | None = None
    ) -> None:
        self.tower, self.text, self.heads, self.detector = tower, text, heads, detector

    def embed_patches(self, image: Image.Image) -> Tensor:
        """Dense embeddings (WRITING, WRITING, C) of an image, with the names of detected objects added."""
        dense = self.look(patch_tokens(self.tower, to_input(image)[None]))[1][0]
        return self.write(dense, self.detector.find(image.convert("RGB"), SCORE) if self.detector else ())

    def write(self, dense: Tensor, things: Sequence[Detection]) -> Tensor:
        """Dense embeddings (64, 64, C), with the text embedding of each object's name added inside its box.

        An item is then found where an object with a similar name is. dense: (rows, columns, C).
        """
        finer = F.interpolate(dense.permute(2, 0, 1)[None], (WRITING, WRITING), mode="bilinear")[0].permute(1, 2, 0)
        places: dict[str, Tensor] = {}
        for thing in things:
            place = thing.score**TRUST * box_weights(thing.box, WRITING, WRITING)
            places[thing.name] = torch.maximum(place, places.get(thing.name, place))
        if not places:
            return finer
        names = self.embed_texts(list(places)).to(finer)
        return finer + WRITTEN * torch.einsum("nhw,nc->hwc", torch.stack([*places.values()]).to(finer), names)

    @torch.inference_mode()
    def look(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Image embeddings (B, 256) and dense ones (B, rows, columns, 256) of the tower's patch tokens."""
        return self.heads.look(patches.to(self.text.device))

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Embeddings (texts, C) of texts."""
        return self.heads.encode_text(self.text.embed(texts))


def locate(clip: DenseClip, image: Image.Image, names: Sequence[str], grid: int = DEFAULT_GRID) -> RegionMaps:
    """Masks of named items in an image.

    Args:
        image: RGB, of any size.
        names: of at most 16 items.
        grid: cells on the image's shorter side, one of GRIDS.

    Returns:
        masks (items, rows, columns), one for each name; a name without a clear place has an empty mask.
    """
    return maps_of(clip.embed_patches(image), clip.embed_texts(names), image.size, grid)


def box_weights(box: tuple[float, float, float, float], rows: int, columns: int) -> Tensor:
    """(rows, columns) float: 1 at the centre of a box, EDGE at its sides, 0 outside; the centre's cell is never 0."""
    left, top, right, bottom = box
    down, across = ((torch.arange(count) + 0.5) / count for count in (rows, columns))
    y = (2 * (down - top) / max(bottom - top, 1e-6) - 1).abs()
    x = (2 * (across - left) / max(right - left, 1e-6) - 1).abs()
    far = torch.maximum(y[:, None], x[None, :])
    weight = torch.where(far <= 1, 1 - (1 - EDGE) * far, 0.0)
    row, column = int((top + bottom) / 2 * rows), int((left + right) / 2 * columns)
    weight[min(rows - 1, row), min(columns - 1, column)] = 1.0
    return weight


def maps_of(dense: Tensor, texts: Tensor, size: tuple[int, int], grid: int = DEFAULT_GRID) -> RegionMaps:
    """As `locate`, from embeddings (rows, columns, C) and (items, C); size: width and height of the image."""
    rows, columns = grid_shape(*size, grid)
    coarse = similarity(dense, texts, rows, columns, smooth=3)
    return RegionMaps(
        np.stack([threshold(each) for each in coarse]) if len(coarse) else np.zeros((0, rows, columns), bool)
    )


def similarity(dense: Tensor, texts: Tensor, rows: int, columns: int, smooth: int = 1) -> Map:
    """(items, rows, columns): similarity of texts and cells, averaged over smooth x smooth samples."""
    cosine = torch.einsum("hwc,nc->nhw", dense.float(), texts.float())[None]
    cosine = F.avg_pool2d(F.pad(cosine, (smooth // 2,) * 4, mode="replicate"), smooth, 1)
    fine = F.interpolate(cosine, (rows * FINE, columns * FINE), mode="bicubic", align_corners=False)
    pooled: Map = F.avg_pool2d(fine, FINE)[0].cpu().numpy()
    return pooled


def threshold(values: Map) -> npt.NDArray[np.bool_]:
    """Cells above a level between a map's mean and its maximum."""
    mean, highest = values.mean(), values.max()
    return np.asarray(values > mean + LEVEL * (highest - mean)) if highest > mean else np.zeros(values.shape, bool)
