"""Region maps: a grid of cells for each item, and the grids that an image can have.

GRID_WEIGHTS defines the grids for the whole project. A new grid changes the file format: fit the tables again with
`misc.train.regions`, and update FORMAT.md and the conformance files.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import SupportsIndex

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..text.description import MAX_ITEMS

__all__ = [
    "DEFAULT_GRID",
    "GRIDS",
    "GRID_WEIGHTS",
    "MAX_ASPECT",
    "Mask",
    "RegionMaps",
    "check_grid",
    "grid_shape",
    "grid_shapes",
]

GRID_WEIGHTS = {4: 36, 8: 150, 12: 30, 16: 36}  # cells on an image's shorter side: how often such a grid is used
GRIDS = tuple(GRID_WEIGHTS)
DEFAULT_GRID = 8
MAX_ASPECT = 4

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class RegionMaps:
    """Where each item is.

    Attributes:
        masks: (items, rows, columns) bool, at most 16 items, in the order of the text's; rows and columns are one of
            `grid_shapes` of the image.
    """

    masks: Mask

    def __post_init__(self) -> None:
        if not isinstance(self.masks, np.ndarray) or self.masks.ndim != 3 or self.masks.dtype != np.bool_:
            raise InputError("region maps are an array (items, rows, columns) of truth values")
        if len(self.masks) > MAX_ITEMS:
            raise InputError(f"there are region maps of at most {MAX_ITEMS} items, not {len(self.masks)}")
        if not all(1 <= side <= MAX_ASPECT * GRIDS[-1] for side in self.masks.shape[1:]):
            raise InputError(f"a region map has 1 to {MAX_ASPECT * GRIDS[-1]} rows and columns")

    def symbols(self) -> bytes:
        """Canonical bytes of the content, for checksums."""
        return bytes(self.masks.shape) + np.packbits(self.masks).tobytes()

    def __eq__(self, other: object) -> bool:
        return self.symbols() == other.symbols() if isinstance(other, RegionMaps) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.symbols())


def check_grid(grid: int) -> int:
    """The grid if it is one of GRIDS; InputError if it is not."""
    if not isinstance(grid, SupportsIndex) or grid not in GRIDS:
        *others, last = map(str, GRIDS)
        raise InputError(f"the grid has {', '.join(others)} or {last} cells on the shorter side, not {grid!r}")
    return operator.index(grid)


def grid_shape(width: int, height: int, grid: int = DEFAULT_GRID) -> tuple[int, int]:
    """Rows and columns of a grid: `grid` cells on the shorter side, at most four times as many on the longer."""
    short, long = sorted((width, height))
    along = min(MAX_ASPECT * grid, (2 * grid * long + short) // (2 * short))
    return (grid, along) if width >= height else (along, grid)


def grid_shapes(width: int, height: int) -> list[tuple[int, int]]:
    """Rows and columns of the grids that an image can have, coarse to fine."""
    return [grid_shape(width, height, grid) for grid in GRIDS]
