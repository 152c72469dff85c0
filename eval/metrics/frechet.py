"""Fréchet distance between two sets of images, on the vision tower's features of patches of 256 pixels.

    image ─► patches of 256, side by side, and again shifted by 128 ─► ViT ─► mean token (384) per patch
    all patches of each set ─► mean and covariance ─► Fréchet distance (Heusel 2017, arXiv 1706.08500)

The patches are those of HiFiC's FID/256 (Mentzer 2020, arXiv 2006.09965). The features are from the ViT, not Inception.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

if TYPE_CHECKING:
    from ...models.towers.vit import VisionTransformer

__all__ = ["SIDE", "frechet_distance", "patch_features", "patches"]

SIDE = 256  # of a patch of an image, in pixels
Features = npt.NDArray[np.float32]


def patches(image: Image.Image) -> list[Image.Image]:
    """Squares of 256 pixels, side by side, and again shifted by half a side; a small image whole."""
    boxes = []
    for shift in (0, SIDE // 2):
        rows, columns = ((side - shift) // SIDE for side in (image.height, image.width))
        for row in range(rows):
            for column in range(columns):
                left, top = shift + column * SIDE, shift + row * SIDE
                boxes.append((left, top, left + SIDE, top + SIDE))
    return [image.crop(box) for box in boxes] or [image]


def patch_features(tower: VisionTransformer, image: Image.Image) -> Features:
    """(patches, 384) mean tokens of an image's patches."""
    import torch

    from ...models.towers.vision import patch_tokens, to_input

    inputs = torch.stack([to_input(patch) for patch in patches(image)])
    return np.asarray(patch_tokens(tower, inputs).mean((1, 2)).cpu().numpy(), np.float32)


def frechet_distance(a: Features, b: Features) -> float:
    """|mean a - mean b|^2 + trace(A + B - 2 sqrt(A B)) of features (N, C); NaN with fewer than two of them."""
    if min(len(a), len(b)) < 2:
        return math.nan
    x, y = (each.astype(np.float64) for each in (a, b))
    difference = x.mean(0) - y.mean(0)
    # trace sqrt(A B), A = X'X and B = Y'Y, is the sum of the singular values of X Y': exact, at most N x N
    centred = [(each - each.mean(0)) / math.sqrt(len(each) - 1) for each in (x, y)]
    spread = sum(float(np.square(each).sum()) for each in centred)
    common = float(np.linalg.svd(centred[0] @ centred[1].T, compute_uv=False).sum())
    return max(0.0, float(difference @ difference) + spread - 2 * common)
