"""Region maps from masks in pixels, and from files: JSON with rows of 0 and 1 or boxes, .npy or .npz with booleans."""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from .bits.regions.maps import DEFAULT_GRID, RegionMaps, check_grid, grid_shape
from .errors import InputError, MiscError

__all__ = ["from_json", "from_masks", "load_maps", "rasterise", "read_maps"]

FINE = 8  # the area of a box in a cell is counted on FINE x FINE points
MAX_VALUES = 1 << 22
MAX_UNPACKED = 1 << 26  # bytes of all arrays of a .npz file
MAX_BOXES = 4096


def load_maps(data: bytes, width: int, height: int) -> RegionMaps:
    """The maps of an image of this size from the bytes of a .json, .npy or .npz file.

    Raises:
        InputError: the file is none of these, or holds something else.
    """
    if data[:6] == b"\x93NUMPY" or data[:2] == b"PK":
        all_maps = read_maps(data)
        if len(all_maps) != 1:
            raise InputError(f"the file holds maps of {len(all_maps)} images, not of one")
        return all_maps[0]
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the region maps are neither JSON nor arrays of numpy: {error}") from error
    return from_json(value, width, height)


def read_maps(data: bytes) -> list[RegionMaps]:
    """Every map in the bytes of a .npy or .npz file; each array (items, rows, columns) is one image's."""
    try:
        files = members(data) if data[:2] == b"PK" else [data]
        arrays = [array_of(each) for each in files]
    except MiscError:
        raise
    except Exception as error:  # zipfile, its decoders and numpy's header have many kinds
        raise InputError(f"the region maps are not arrays of numpy: {str(error) or type(error).__name__}") from error
    return [maps_of(array) for array in arrays]


def members(archive: bytes) -> list[bytes]:
    """The files in an archive; together they are unpacked up to a limit."""
    pieces: list[bytes] = []
    left = MAX_UNPACKED
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        if sum(member.file_size for member in files.infolist()) > MAX_UNPACKED:  # headers may understate the sizes
            raise InputError(f"the region maps have more than {MAX_UNPACKED} bytes when they are unpacked")
        for name in files.namelist():
            with files.open(name) as file:
                pieces.append(file.read(left + 1))
            left -= len(pieces[-1])
            if left < 0:
                raise InputError(f"the region maps have more than {MAX_UNPACKED} bytes when they are unpacked")
    return pieces


def array_of(data: bytes) -> npt.NDArray[Any]:
    """The array of a .npy file; its header is compared with the length of the file before memory is allocated."""
    file = io.BytesIO(data)
    npy: Any = np.lib.format  # which has no types
    read_header = npy.read_array_header_1_0 if npy.read_magic(file) == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read_header(file)
    count = math.prod(shape)
    if dtype.kind not in "biu" or count > MAX_VALUES:
        raise InputError("region maps hold 0 and 1 alone")
    if len(data) - file.tell() != count * dtype.itemsize:
        raise ValueError("its header says another length")
    values = np.frombuffer(data, dtype, count, file.tell())
    return values.reshape(shape, order="F" if fortran else "C")


def from_json(value: Any, width: int, height: int) -> RegionMaps:
    """From {"masks": [ROWS OF 0 AND 1, ...]} or {"boxes": [[[x, y, width, height], ...], ...], "grid": one of GRIDS}.

    There is one entry for each item. Boxes are in pixels of the image. `grid` is the number of cells on its shorter
    side, by default 8.

    Raises:
        InputError: another shape or beyond the limits.
    """
    if isinstance(value, Mapping) and set(value) == {"masks"}:
        return masks_of(value["masks"])
    if not isinstance(value, Mapping) or not {"boxes"} <= set(value) <= {"boxes", "grid"}:
        raise InputError('region maps are an object with "masks", or with "boxes" and "grid"')
    grid = value.get("grid", DEFAULT_GRID)
    if not isinstance(grid, int):
        raise InputError('"grid" is a whole number')
    items = value["boxes"]
    if not isinstance(items, list) or not all(isinstance(boxes, list) and all(map(is_box, boxes)) for boxes in items):
        raise InputError('"boxes" is a list of items of boxes [x, y, width, height] in pixels')
    if sum(map(len, items)) > MAX_BOXES:
        raise InputError(f"there are more than {MAX_BOXES} boxes")
    shape = grid_shape(width, height, check_grid(grid))
    return maps_of(np.array([rasterise(boxes, width, height, shape) for boxes in items]).reshape(-1, *shape))


def from_masks(masks: npt.ArrayLike, width: int, height: int, grid: int = DEFAULT_GRID) -> RegionMaps:
    """Region maps of an image from masks in pixels, for example from a segmentation network.

    A cell is set if the mask covers at least half of it. If the mask covers half of no cell, the cells that it covers
    most are set.

    Args:
        masks: (items, rows, columns) of booleans, or of 0 and 1, in the order of the text's items. Each mask covers the
            whole image; its size may differ from the image's.
        width, height: of the image.
        grid: cells on the image's shorter side, one of GRIDS.

    Raises:
        InputError: another shape, other values, or no such grid.
    """
    array = np.asarray(masks)
    if array.ndim != 3 or not array.size or array.dtype.kind not in "biuf" or not np.isin(array, (0, 1)).all():
        raise InputError("masks are an array (items, rows, columns) of truth values, or of 0 and 1")
    rows, columns = grid_shape(width, height, check_grid(grid))
    areas = (Image.fromarray(mask.astype(np.float32)).resize((columns, rows), Image.Resampling.BOX) for mask in array)
    return RegionMaps(np.array([cells_of(np.asarray(area)) for area in areas]))


def masks_of(masks: Any) -> RegionMaps:
    """From lists of rows of 0 and 1, checked before numpy: strings and deep lists would cost it much memory."""
    rows = [row for mask in masks if isinstance(mask, list) for row in mask] if isinstance(masks, list) else []
    if not rows or not all(isinstance(mask, list) for mask in masks) or not all(isinstance(row, list) for row in rows):
        raise InputError('"masks" is a list of items of rows of 0 and 1')
    if any(len(mask) != len(masks[0]) for mask in masks) or any(len(row) != len(rows[0]) for row in rows):
        raise InputError('"masks" is a list of items of rows of as many 0 and 1 each')
    if not all(isinstance(cell, int) and cell in (0, 1) for row in rows for cell in row):
        raise InputError("region maps hold 0 and 1 alone")
    return maps_of(np.array(masks, np.int64))


def is_box(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 4
        and all(isinstance(side, int | float) and abs(side) < 1 << 20 for side in value)
    )


def maps_of(array: npt.NDArray[Any]) -> RegionMaps:
    if array.dtype.kind not in "biu" or array.size > MAX_VALUES or not np.isin(array, (0, 1)).all():
        raise InputError("region maps hold 0 and 1 alone")
    return RegionMaps(array.astype(np.bool_))


def rasterise(
    boxes: Sequence[Sequence[float]], width: int, height: int, shape: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """(rows, columns) of `shape`: the cells that boxes [x, y, width, height] cover, as in `cells_of`."""
    rows, columns = shape
    fine = np.zeros((rows * FINE, columns * FINE))
    for x, y, w, h in boxes:
        top, bottom = (round(edge / height * rows * FINE) for edge in (y, y + h))
        left, right = (round(edge / width * columns * FINE) for edge in (x, x + w))
        fine[max(top, 0) : max(bottom, top + 1, 0), max(left, 0) : max(right, left + 1, 0)] = 1
    return cells_of(fine.reshape(rows, FINE, columns, FINE).mean((1, 3)))


def cells_of(covered: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.bool_]:
    """The cells of which at least half is covered.

    If there are none, the cells that are covered most, so that a small object is not lost.

    Args:
        covered: (rows, columns), the covered share of each cell.
    """
    threshold = min(0.5, covered.max())
    return np.asarray((covered >= threshold) & (covered > 0))
