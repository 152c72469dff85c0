"""Overlapping tiles, blended so that no seam is seen: of latents in every step, and of images in the VAE.

Tiles stand on a grid. Along each axis a tile's weights rise and fall as a raised cosine where it overlaps others, and
all weights at a place are divided by their sum. MultiDiffusion (Bar-Tal 2023, arXiv 2302.08113) averages so.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Window", "axis_weights", "blend", "starts", "windows"]


@dataclass(frozen=True)
class Window:
    """A tile's place, in latents."""

    top: int
    left: int
    height: int
    width: int

    def of(self, field: Tensor, scale: int = 1) -> Tensor:
        """The tile of a field (..., height * scale, width * scale)."""
        rows = slice(self.top * scale, (self.top + self.height) * scale)
        return field[..., rows, self.left * scale : (self.left + self.width) * scale]


def starts(length: int, tile: int, overlap: int) -> list[int]:
    """First positions of evenly spaced tiles that cover a length and overlap by at least `overlap`."""
    if length <= tile:
        return [0]
    count = -(-(length - overlap) // (tile - overlap))
    return [(length - tile) * k // (count - 1) for k in range(count)]


def axis_weights(length: int, tile: int, overlap: int, scale: int = 1) -> list[Tensor]:
    """Weights of each tile along an axis, (tile * scale,) float32; they add up to 1 everywhere."""
    begins = [start * scale for start in starts(length, tile, overlap)]
    size, rise = min(length, tile) * scale, overlap * scale
    total = torch.zeros(length * scale)
    weights = []
    for begin in begins:
        position = torch.arange(size) + 0.5
        weight = torch.ones(size)
        if begin > 0:
            weight *= (position / rise).clamp(max=1).mul(math.pi / 2).sin().square()
        if begin + size < length * scale:
            weight *= ((size - position) / rise).clamp(max=1).mul(math.pi / 2).sin().square()
        total[begin : begin + size] += weight
        weights.append(weight)
    return [weight / total[begin : begin + size] for begin, weight in zip(begins, weights, strict=True)]


def windows(height: int, width: int, tile: int, overlap: int) -> list[Window]:
    """Tiles that cover a field, row by row; one if it is no larger than a tile."""
    size = min(height, tile), min(width, tile)
    lefts = starts(width, tile, overlap)
    return [Window(top, left, *size) for top in starts(height, tile, overlap) for left in lefts]


def blend(
    function: Callable[[Window], Tensor], height: int, width: int, tile: int, overlap: int, scale: int = 1
) -> Tensor:
    """A field from its tiles, of which one at a time is in memory.

    Args:
        function: gives a tile (B, C, window height * scale, window width * scale).
        height, width, tile, overlap: of the field, its tiles and what they share, in latents.

    Returns:
        (B, C, height * scale, width * scale)
    """
    places = windows(height, width, tile, overlap)
    if len(places) == 1:
        return function(places[0])
    columns = axis_weights(width, tile, overlap, scale)
    rows = axis_weights(height, tile, overlap, scale)
    field: Tensor | None = None
    for k, window in enumerate(places):
        part = function(window)
        if field is None:
            field = part.new_zeros((*part.shape[:2], height * scale, width * scale), dtype=torch.float32)
        weight = rows[k // len(columns)][:, None] * columns[k % len(columns)]
        window.of(field, scale).add_(part.float() * weight.to(part.device))
    assert field is not None
    return field
