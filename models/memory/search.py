"""Which photos of the memory a file means, and which of them are most like a photo.

By text: the cosine of the text's embedding and the photo's. By regions: where an item's mask is, the photo should show
what the item's name says. By an encoder that has the photo: the likeness of the vision tower's cells.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from ...bits.regions.maps import RegionMaps
from .store import CELLS, Floats, Memory

__all__ = ["order", "score", "score_layout", "score_structure", "score_text"]

NAMES, LAYOUT = 0.5, 0.25  # weights of the names' score and of the regions' score beside the text's


def score_text(memory: Memory, text: Floats) -> Floats:
    """(photos,) cosine of a text's embedding (256,) and each photo's."""
    scores: Floats = memory.embeddings @ text
    return scores


def score_layout(memory: Memory, names: Floats, regions: RegionMaps) -> Floats:
    """(photos,) how much more each photo shows the items inside their masks than elsewhere, mean over the items.

    Args:
        names: (items, 256) embeddings of the items' names.
        regions: a mask for each of them.
    """
    masks = torch.from_numpy(np.asarray(regions.masks, np.float32))[None]
    inside = F.adaptive_avg_pool2d(masks, CELLS)[0].numpy()
    shown = np.einsum("nhwa,ia->nihw", memory.places.values, names @ memory.places.axes.T)
    scores = [
        (shown[:, i] * mask / mask.sum()).sum((1, 2)) - shown[:, i].mean((1, 2))
        for i, mask in enumerate(inside[: len(names)])
        if mask.sum() > 0
    ]
    mean: Floats = np.mean(scores, 0) if scores else np.zeros(len(memory), np.float32)
    return mean


def score_structure(memory: Memory, tokens: Floats) -> Floats:
    """(photos,) mean cosine of the cells of a photo and of each photo of the memory.

    Args:
        tokens: (rows, columns, 384) of the vision tower.
    """
    pooled = F.adaptive_avg_pool2d(torch.from_numpy(tokens).permute(2, 0, 1)[None], CELLS)[0].permute(1, 2, 0).numpy()
    wanted = memory.structure.project(pooled)
    likeness: Floats = cosine(memory.structure.values, wanted).mean((1, 2))
    return likeness


def cosine(a: Floats, b: Floats) -> Floats:
    """Along the last axis."""
    product: Floats = (a * b).sum(-1) / (np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)).clip(1e-6)
    return product


def score(memory: Memory, text: Floats, names: Floats, regions: RegionMaps | None) -> Floats:
    """(photos,) how well each fits a text (256,), the names of its items (items, 256) and their regions."""
    scores = score_text(memory, text)
    if len(names):
        scores = scores + NAMES * (names @ memory.embeddings.T).mean(0)
    if regions is not None and len(names):
        scores = scores + LAYOUT * score_layout(memory, names, regions)
    return scores


def order(scores: Floats) -> npt.NDArray[np.int64]:
    """Numbers of all photos, the best first."""
    return np.argsort(-scores, kind="stable")
