"""The map encoder: where in a picture the items are.

    image ─► dense embeddings (rows, columns, C) ─┐
    names ─► text embeddings (items, C) ──────────┴─► similarity ─► coarse grid ─► adaptive threshold ─► RegionMaps

Any CLIP will do that gives one embedding a patch: the embedded one (`misc.models.clip`), or one of open_clip with
value-value attention (`misc.models.dense_clip`). Maps of different items may overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from misc.models.clip import ClipHeads
from misc.models.text_features import TextTower
from misc.models.vision import patch_tokens, to_input
from PIL import Image
from torch import Tensor
from transformers import Dinov2Model

from misc.bits.regions import RegionMaps, grid_shape

__all__ = ["DenseClip", "EmbeddedClip", "locate", "maps_of", "similarity"]

GRID = 16
CELLS = 8
FINE = 4  # samples of the similarity along a side of a cell
LEVEL = 0.2  # threshold, from the mean of a map (0) to its highest cell (1)

Map = npt.NDArray[np.float32]


class DenseClip(Protocol):
    """Embeddings of patches and of texts in one space, all of length 1."""

    def embed_patches(self, image: Image.Image) -> Tensor:
        """(rows, columns, C) of an RGB picture, which its grid covers whole."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """(texts, C)."""
        ...


class EmbeddedClip:
    """The embedded profile's CLIP.

    Args:
        tower: of `misc.models.vision`. text: of `misc.models.text_features`. heads: of `misc.models.clip`.
    """

    def __init__(self, tower: Dinov2Model, text: TextTower, heads: ClipHeads) -> None:
        self.tower, self.text, self.heads = tower, text, heads

    def embed_patches(self, image: Image.Image) -> Tensor:
        return self.look(patch_tokens(self.tower, to_input(image, GRID, GRID)[None]))[1][0]

    @torch.inference_mode()
    def look(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Image embeddings (B, 256) and dense ones (B, rows, columns, 256) of the tower's patch tokens."""
        return self.heads.look(patches)

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        return self.heads.encode_text(self.text.embed(texts))


def locate(clip: DenseClip, image: Image.Image, names: Sequence[str], cells: int = CELLS) -> RegionMaps:
    """Masks of named items in a picture.

    Args:
        image: RGB, of any size. names: of at most 16 items. cells: 4, 8 or 16 on the picture's shorter side.

    Returns:
        masks (items, rows, columns), one for each name; a name that stands out nowhere has an empty mask.
    """
    return maps_of(clip.embed_patches(image), clip.embed_texts(names), image.size, cells)


def maps_of(dense: Tensor, texts: Tensor, size: tuple[int, int], cells: int = CELLS) -> RegionMaps:
    """As `locate`, from embeddings (rows, columns, C) and (items, C); size: width and height of the picture."""
    rows, columns = grid_shape(*size, cells)
    coarse = similarity(dense, texts, rows, columns, smooth=3)
    return RegionMaps(
        np.stack([threshold(each) for each in coarse]) if len(coarse) else np.zeros((0, rows, columns), bool)
    )


def similarity(dense: Tensor, texts: Tensor, rows: int, columns: int, smooth: int = 1) -> Map:
    """(items, rows, columns): cosine of texts with the patches of a cell, averaged over smooth x smooth of them."""
    cosine = torch.einsum("hwc,nc->nhw", dense.float(), texts.float())[None]
    cosine = F.avg_pool2d(F.pad(cosine, (smooth // 2,) * 4, mode="replicate"), smooth, 1)
    fine = F.interpolate(cosine, (rows * FINE, columns * FINE), mode="bicubic", align_corners=False)
    pooled: Map = F.avg_pool2d(fine, FINE)[0].cpu().numpy()
    return pooled


def threshold(values: Map) -> npt.NDArray[np.bool_]:
    """Cells over a level between a map's mean and its highest value."""
    mean, highest = values.mean(), values.max()
    return np.asarray(values > mean + LEVEL * (highest - mean)) if highest > mean else np.zeros(values.shape, bool)
