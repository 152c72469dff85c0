"""Large images in tiles, so that the transforms' memory does not grow with the image.

    analysis:  image ─► tiles ─► three stages ─► features at 1/16, whole ─► a stage, last layer ─► y
    synthesis: y ─► tiles ─► two stages ─► features at 1/16, whole ─► tiles ─► two stages, last layer ─► image

A tile is computed with a border as wide as the receptive field of the convolutions, and the border is cut off. At the
image's edges there is no border: the convolutions pad with zeros, as without tiles. So there are no seams, and results
differ only by rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from ...bits.pixels.latents import STRIDE
from ..image_tensors import Pixels, to_pixels, to_tensor
from .transforms import Transform

__all__ = ["Piece", "analyse", "pieces", "synthesise"]

SIDE = 96  # cells of a tile, without its border
CELL = 16  # pixels of a cell of the features
REACH = 5  # cells around a cell that the first three stages of the analysis use
LATENT_REACH = 8  # latents around a latent that the first two stages of the synthesis use
DRAWN_REACH = 5  # cells around a cell that its other stages use: 4 1/4, rounded up


@dataclass(frozen=True)
class Piece:
    """A part of a side: its own range, and the wider range from which it is computed."""

    start: int
    stop: int
    low: int
    high: int

    @property
    def inner(self) -> tuple[int, int]:
        """Begin and end of the part in the computed range."""
        return self.start - self.low, self.stop - self.low


def pieces(length: int, side: int, border: int) -> Iterator[Piece]:
    """The parts of a side of `length` cells, `side` each but the last, which may be shorter."""
    for start in range(0, length, side):
        stop = min(start + side, length)
        yield Piece(start, stop, max(0, start - border), min(length, stop + border))


def tiles(shape: tuple[int, int], side: int, border: int) -> Iterator[tuple[Piece, Piece]]:
    """Rows and columns of every tile of a grid (rows, columns)."""
    for rows in pieces(shape[0], side, border):
        for columns in pieces(shape[1], side, border):
            yield rows, columns


def cut(x: Tensor, rows: Piece, columns: Piece, scale: int = 1) -> Tensor:
    """The tile without its border; x: (..., H, W) at `scale` times the pieces' cells."""
    (top, bottom), (left, right) = rows.inner, columns.inner
    return x[..., top * scale : bottom * scale, left * scale : right * scale]


def join(shape: tuple[int, int], side: int, border: int, scale: int, run: Callable[[Piece, Piece], Tensor]) -> Tensor:
    """(1, C, rows * scale, columns * scale) of tiles that `run` computes, on its device."""
    whole: Tensor | None = None
    for rows, columns in tiles(shape, side, border):
        part = cut(run(rows, columns), rows, columns, scale)
        if whole is None:
            whole = part.new_empty(1, part.shape[1], shape[0] * scale, shape[1] * scale)
        into = whole[..., rows.start * scale : rows.stop * scale, columns.start * scale : columns.stop * scale]
        into.copy_(part)
    assert whole is not None
    return whole


def analyse(transform: Transform, image: Pixels, quality: Tensor, side: int = SIDE) -> Tensor:
    """Latents (1, m, h, w) before their gain.

    Args:
        transform: the analysis transform.
        image: (H, W, 3) uint8; its borders are replicated to multiples of 32.
        quality: (1,) in [0, 1], on the transform's device.
        side: of a tile, in cells of 16 pixels.
    """
    height, width, _ = image.shape
    cells = (-(-height // STRIDE) * STRIDE // CELL, -(-width // STRIDE) * STRIDE // CELL)

    def features(rows: Piece, columns: Piece) -> Tensor:
        part = image[rows.low * CELL : rows.high * CELL, columns.low * CELL : columns.high * CELL]
        x = to_tensor(part).to(quality.device)
        missing = (columns.high - columns.low) * CELL - part.shape[1], (rows.high - rows.low) * CELL - part.shape[0]
        x = F.pad(x, (0, missing[0], 0, missing[1]), mode="replicate")
        return transform.run(x - 0.5, quality, last=3)

    return transform.run(join(cells, side, REACH, 1, features), quality, first=3)


def synthesise(transform: Transform, y: Tensor, quality: Tensor, width: int, height: int, side: int = SIDE) -> Pixels:
    """The image (height, width, 3) of latents.

    Args:
        transform: the synthesis transform.
        y: (1, m, h, w) after their inverse gain.
        quality, side: as `analyse`.
    """
    h, w = y.shape[2:]

    def features(rows: Piece, columns: Piece) -> Tensor:
        return transform.run(y[..., rows.low : rows.high, columns.low : columns.high], quality, last=2)

    whole = join((h, w), side, LATENT_REACH, STRIDE // CELL, features)
    image: Pixels = np.empty((height, width, 3), np.uint8)
    for rows, columns in tiles((-(-height // CELL), -(-width // CELL)), side, DRAWN_REACH):
        # the last latent may give rows and columns beyond the image
        bottom, right = min(rows.stop + DRAWN_REACH, 2 * h), min(columns.stop + DRAWN_REACH, 2 * w)
        x = transform.run(whole[..., rows.low : bottom, columns.low : right], quality, first=2)
        x = cut(x, rows, columns, CELL).float() + 0.5
        drawn = to_pixels(x[0])
        into = image[rows.start * CELL : rows.stop * CELL, columns.start * CELL : columns.stop * CELL]
        into[:] = drawn[: into.shape[0], : into.shape[1]]
    return image
