"""Region maps: a grid of cells for each item, and the grids that an image can have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..text.description import MAX_ITEMS

__all__ = ["GRIDS", "MAX_ASPECT", "Mask", "RegionMaps", "grid_shape", "grid_shapes"]

GRIDS = (4, 8, 16)
MAX_ASPECT = 4

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class RegionMaps:
    """Where each item is.

    Attributes:
        masks: (items, rows, columns) bool, at most 16 items, in the order of the text's; rows and columns are one of
            `grid_shapes` of the picture.
    """

    masks: Mask

    def __post_init__(self) -> None:
        if self.masks.ndim != 3 or self.masks.dtype != np.bool_:
            raise InputError("region maps are an array (items, rows, columns) of truth values")
        if len(self.masks) > MAX_ITEMS:
            raise InputError(f"there are region maps of at most {MAX_ITEMS} items, not {len(self.masks)}")
        if not all(1 <= side <= MAX_ASPECT * GRIDS[-1] for side in self.masks.shape[1:]):
            raise InputError(f"a region map has 1 to {MAX_ASPECT * GRIDS[-1]} rows and columns")

    def symbols(self) -> bytes:
        """Canonical bytes of the content, for checksums."""
        return bytes(self.masks.shape) + np.packbits(self.masks).tobytes()


def grid_shape(width: int, height: int, cells: int) -> tuple[int, int]:
    """Rows and columns of the grid with so many cells on the picture's shorter side, at most four times as many on the
    longer.
    """
    short, long = sorted((width, height))
    along = min(MAX_ASPECT * cells, (2 * cells * long + short) // (2 * short))
    return (cells, along) if width >= height else (along, cells)


def grid_shapes(width: int, height: int) -> list[tuple[int, int]]:
    """Rows and columns of the grids that a picture can have, coarse to fine."""
    return [grid_shape(width, height, cells) for cells in GRIDS]
