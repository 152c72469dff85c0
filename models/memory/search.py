"""Rank the photos of the memory for a file's text and regions, or by similarity to an image.

    text, names ─► cosine with each photo ───────────┐
    regions ─────► likeness of its cells to the masks ┴─► evidence ─► probabilities ─► expected likeness ─► order

A text fits many photos about equally well. The best choice is therefore not the photo that fits best, but the photo
that is most similar to all that fit (minimum Bayes risk). The probability of photo k is the softmax of its evidence.
The score of a photo is the expected cosine of its embedding with the original's, if the original is like photo k with
that probability. An encoder has the original and compares the cells of the vision tower instead.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from ...bits.regions.maps import RegionMaps
from .store import CELLS, Floats, Memory

__all__ = ["expect", "order", "score", "score_layout", "score_structure", "score_text"]

# Chosen with `misc eval recall` on photos that are neither in the memory nor in Kodak.
NAMES = 0.5  # weight of the names' cosine against the text's
TEMPERATURE = 0.035  # of the softmax over photos
CORRELATION, COVER = 0.06, 0.02  # weights of the two parts of the regions' score against the mean of the cosines
SCALE, BIAS = 18.4, -3.9  # of the locator: sigmoid(SCALE * cosine + BIAS) is the probability that a patch shows a name


def score_text(memory: Memory, text: Floats) -> Floats:
    """(photos,) cosine of a text's embedding (256,) and each photo's."""
    scores: Floats = memory.embeddings @ text
    return scores


def score_layout(memory: Memory, names: Floats, regions: RegionMaps) -> Floats:
    """(photos,) how well each photo shows the items inside their masks and not outside, mean over the items.

    The score of an item has two parts: the correlation, over the 4 x 4 cells, of its mask with the cells' cosines with
    its name; and the log probability of its mask, if each cell shows the item with the locator's probability.

    Args:
        names: (items, 256) embeddings of the items' names, of length 1.
        regions: a mask for each of them.
    """
    masks = np.asarray(regions.masks, np.float32)[: len(names)]
    kept = masks.any((1, 2))
    if not kept.any():
        return np.zeros(len(memory), np.float32)
    inside = F.adaptive_avg_pool2d(torch.from_numpy(masks[kept])[None], CELLS)[0].numpy()
    places = memory.places.restore()
    places = places / np.linalg.norm(places, axis=-1, keepdims=True).clip(1e-6)
    cosines = np.einsum("nhwc,ic->nihw", places, names[kept])
    sure = np.clip(1 / (1 + np.exp(-(SCALE * cosines + BIAS))), 1e-3, 1 - 1e-3)
    cover = (inside * np.log(sure) + (1 - inside) * np.log(1 - sure)).mean((2, 3))
    scores: Floats = (CORRELATION * correlate(inside, cosines) + COVER * cover).mean(1)
    return scores


def correlate(a: Floats, b: Floats) -> Floats:
    """Pearson's correlation over the last two axes; about 0 if one of the two is constant."""
    a, b = (each - each.mean((-2, -1), keepdims=True) for each in (a, b))
    spread = np.sqrt(np.square(a).sum((-2, -1)) * np.square(b).sum((-2, -1)) + 1e-6)
    correlation: Floats = (a * b).sum((-2, -1)) / spread
    return correlation


def score_structure(memory: Memory, tokens: Floats) -> Floats:
    """(photos,) mean cosine of an image's cells and the cells of each photo of the memory.

    Args:
        tokens: (rows, columns, 384) of the vision tower.
    """
    pooled = F.adaptive_avg_pool2d(torch.from_numpy(tokens).permute(2, 0, 1)[None], CELLS)[0].permute(1, 2, 0).numpy()
    wanted = memory.structure.project(pooled)
    likeness: Floats = cosine(memory.structure.values, wanted).mean((1, 2))
    return likeness


def cosine(a: Floats, b: Floats) -> Floats:
    """Cosine similarity along the last axis."""
    product: Floats = (a * b).sum(-1) / (np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)).clip(1e-6)
    return product


def score(memory: Memory, text: Floats, names: Floats, regions: RegionMaps | None) -> Floats:
    """(photos,) how well each fits a text (256,), the names of its items (items, 256) and their regions."""
    evidence = score_text(memory, text)
    if len(names):
        evidence = (evidence + NAMES * (names @ memory.embeddings.T).mean(0)) / (1 + NAMES)
    if regions is not None and len(names):
        evidence = evidence + score_layout(memory, names, regions)
    return expect(memory, evidence)


def expect(memory: Memory, evidence: Floats) -> Floats:
    """(photos,) expected cosine of each photo's embedding with that of the original, given the evidence.

    Args:
        evidence: (photos,) how well each photo fits, as a cosine.
    """
    shares = np.exp((evidence - evidence.max()) / TEMPERATURE)
    likeness: Floats = memory.embeddings @ ((shares / shares.sum()) @ memory.embeddings)
    return likeness


def order(scores: Floats) -> npt.NDArray[np.int64]:
    """Numbers of all photos, the best first."""
    return np.argsort(-scores, kind="stable")
