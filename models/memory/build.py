"""Build a memory from photos: the embedded profile's networks embed each photo, and its pixel stream codes it.

photo ─► shorter side of 384 pixels ─► hyperprior ─► latents
      └► vision tower ─► CLIP's embedding and dense embeddings, tokens ─► axes in which they differ most ─► cells
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image

from ...bits.pixels.latents import pack
from ...errors import InputError
from ..clip.embedded import ClipHeads
from ..hyperprior.hyperprior import Hyperprior
from ..towers.vision import patch_tokens, to_input
from ..towers.vit import VisionTransformer
from .store import AXES, CELLS, Cells, Floats, Memory

__all__ = ["build_memory"]

SIDE, LONGEST = 384, 576  # of the coded photo, in pixels
QUALITY = 180


def build_memory(
    photos: Iterable[Image.Image], tower: VisionTransformer, heads: ClipHeads, hyperprior: Hyperprior
) -> Memory:
    """The memory of some photos, in their order.

    Args:
        photos: RGB, of any size; with 16 cells each, they need at least as many cells as there are axes (48).

    Raises:
        InputError: there are too few photos.
    """
    embeddings, places, structure, sizes, latents = [], [], [], [], []
    for photo in photos:
        tokens = patch_tokens(tower, to_input(photo)[None])
        with torch.inference_mode():
            embedding, dense = heads.look(tokens)
        embeddings.append(embedding[0].numpy())
        places.append(pool(dense))
        structure.append(pool(tokens))
        scaled = scale_to(photo)
        sizes.append(scaled.size)
        latents.append(pack(hyperprior.analyse(np.asarray(scaled), QUALITY), hyperprior.entropy_model))
    if len(latents) * CELLS**2 < AXES:
        raise InputError(f"a memory needs at least {-(-AXES // CELLS**2)} photos, not {len(latents)}")
    return Memory(
        np.stack(embeddings),
        find_axes(np.stack(places)),
        find_axes(np.stack(structure)),
        np.array(sizes, np.uint16),
        tuple(latents),
        hyperprior.entropy_model.checksum,
    )


def scale_to(photo: Image.Image) -> Image.Image:
    """A photo scaled to 384 pixels on the shorter side, with at most 576 on the longer."""
    ratio = SIDE / min(photo.size)
    width, height = (max(1, min(LONGEST, round(side * ratio))) for side in photo.size)
    return photo.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)


def pool(tokens: torch.Tensor) -> Floats:
    """(4, 4, C) means of (1, rows, columns, C)."""
    pooled: Floats = F.adaptive_avg_pool2d(tokens.float().permute(0, 3, 1, 2), CELLS)[0].permute(1, 2, 0).numpy()
    return pooled


def find_axes(cells: npt.NDArray[np.float32]) -> Cells:
    """The first 48 principal components of cells (photos, 4, 4, C), and the cells in these axes."""
    flat = cells.reshape(-1, cells.shape[-1])
    mean = flat.mean(0)
    centred = (flat - mean).astype(np.float64)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    axes = np.ascontiguousarray(vectors[:, ::-1].T[:AXES], np.float32)
    return Cells((cells - mean) @ axes.T, axes, mean)
