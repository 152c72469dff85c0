"""The parameters of y's distribution, slice by slice, as floats for training; `misc.bits` runs the same as integers.

features ─► + before(y of the slices before) ─► known ─► first ─► means, scale indices of the anchors
                                                  └─► + context(y of the anchors) ─► second ─► ... of the others
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ...bits.pixels.entropy_model import INDEX_SLOPE_BITS
from .transforms import conv1x1

__all__ = ["INDEX_START", "LOG_SCALE_STEP", "SCALE_COUNT", "SCALE_MIN", "SliceParameters", "scale_of"]

SCALE_MIN, SCALE_MAX, SCALE_COUNT = 0.11, 64.0, 64
LOG_SCALE_STEP = math.log(SCALE_MAX / SCALE_MIN) / (SCALE_COUNT - 1)
INDEX_SLOPE, INDEX_START = float(1 << INDEX_SLOPE_BITS), 16.0


def scale_of(index: Tensor) -> Tensor:
    """Standard deviation at a (fractional) index of the logarithmic scale table."""
    return SCALE_MIN * torch.exp(LOG_SCALE_STEP * index.clamp(0, SCALE_COUNT - 1))


class SliceParameters(nn.Module):
    """Means and scale indices of one slice of y's channels.

    Args:
        start: number of channels in the slices before.
        size: number of channels in this slice.
        features: channels of the hyper-synthesis.
        side: of the square of positions that a context layer sees.
    """

    def __init__(self, start: int, size: int, features: int, side: int) -> None:
        super().__init__()
        self.size = size
        self.before = nn.Conv2d(start, features, side, padding=side // 2) if start else None
        self.first = nn.Sequential(conv1x1(features, features), nn.ReLU(), conv1x1(features, 2 * size))
        self.context = nn.Conv2d(size, features, side, padding=side // 2)
        self.second = nn.Sequential(conv1x1(features, features), nn.ReLU(), conv1x1(features, 2 * size))

    def known(self, features: Tensor, y_hat: Tensor) -> Tensor:
        """(B, features, h, w): the features and what the slices before, y_hat (B, start, h, w), tell."""
        return features if self.before is None else features + self.before(y_hat)

    def first_pass(self, known: Tensor) -> tuple[Tensor, Tensor]:
        """Means and fractional scale indices (B, size, h, w) of the anchors."""
        return split(self.first(torch.relu(known)))

    def second_pass(self, known: Tensor, y_anchor: Tensor) -> tuple[Tensor, Tensor]:
        """Means and fractional scale indices of the others; y_anchor: (B, size, h, w), zero at the others."""
        return split(self.second(torch.relu(known + self.context(y_anchor))))


def split(output: Tensor) -> tuple[Tensor, Tensor]:
    """Means and fractional scale indices (B, size, h, w) from a last layer's output (B, 2 * size, h, w)."""
    means, index = output.chunk(2, 1)
    return means, index * INDEX_SLOPE + INDEX_START
