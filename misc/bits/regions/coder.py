"""Region stream: where each item is, to bytes and back.

    masks ─► kind of each (empty, mixed, full) ─► cells of the mixed ones ─► range coder
                                                     ▲
             cells before, distance to the border, earlier masks ─► six tables, summed ─► frequency of a set cell

    bytes: range coder: grid, [number of items], then every mask     or, when that is longer:
           252 + grid (8 bits) | cells, row by row, first cell in the top bit

The grid is one of the four in `maps.GRIDS`. If the text has items, their number is not coded again. The tables' entries
are log-odds (natural logarithm) in units of 1/16; `misc.train.regions` fits them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

import numpy as np

from ...errors import BitstreamError, InputError
from ..arithmetic.range_coder import TOTAL, FrequencyTable, RangeDecoder, RangeEncoder
from ..text.description import MAX_ITEMS
from .maps import GRID_WEIGHTS, GRIDS, Mask, RegionMaps, grid_shapes
from .tables import BORDER, COLUMN, EARLIER, NEAR, ROW, SCALE

__all__ = ["TABLES", "Contexts", "code_mask", "pack", "unpack"]

RAW_BYTE = 256 - len(GRIDS)  # a first byte of this value or above means raw cells
EMPTY, MIXED, FULL = range(3)
FIRST_KIND = (6, 248, 2)
NEXT_KIND = ((144, 96, 16), FIRST_KIND, (32, 96, 128))  # after a mask of each kind
COUNTS = (1, 24, 32, 95, 24, 20, 12, 8, 8, 4, 4, 4, 4, 4, 4, 4, 4)
MARGIN = 3
MAX_SCORE = 127
ODDS_STEP = 4571968887  # e^(1/16), in units of 2^-32

Contexts = tuple[int, int, int, int, int, int]
SCALE_ROW = 16  # entries of SCALE for each grid
TABLES = (NEAR, ROW, COLUMN, BORDER, EARLIER, SCALE + SCALE[-SCALE_ROW:] * (len(GRIDS) - len(SCALE) // SCALE_ROW))


def shares_of(weights: Iterable[int]) -> tuple[int, ...]:
    """Shares of 256 for each grid, and a last one that is never coded, because raw cells use its first bytes."""
    weights = list(weights)
    room = 256 - len(weights)
    shares = [max(1, weight * room // sum(weights)) for weight in weights]
    shares[shares.index(max(shares))] += room - sum(shares)
    return (*shares, len(weights))


GRID_KINDS = shares_of(GRID_WEIGHTS.values())


def pack(maps: RegionMaps, width: int, height: int, items: int = 0) -> bytes:
    """Bytes of the maps of an image, at most one more than with one bit per cell.

    Args:
        width, height: of the image.
        items: of the text; 0 if there are none.

    Raises:
        InputError: the maps have no grid of this image, or are not as many as the text's items.
    """
    count, *shape = maps.masks.shape
    shapes = grid_shapes(width, height)
    if tuple(shape) not in shapes:
        known = ", ".join(f"{rows}x{columns}" for rows, columns in shapes)
        raise InputError(f"maps of {shape[0]}x{shape[1]} cells do not fit an image of {width}x{height}: it has {known}")
    if items and items != count:
        raise InputError(f"there are {count} region maps for the text's {items} items")
    grid = shapes.index((shape[0], shape[1]))
    coder = RangeEncoder()
    coder.encode([grid], table_of(GRID_KINDS))
    if not items:
        coder.encode([count], table_of(COUNTS))
    kinds = FIRST_KIND
    for k, mask in enumerate(maps.masks):
        kind = EMPTY if not mask.any() else FULL if mask.all() else MIXED
        coder.encode([kind], table_of(kinds))
        kinds = NEXT_KIND[kind]
        if kind == MIXED:
            encode_mask(coder, mask, maps.masks[:k])
    raw = bytes([RAW_BYTE + grid]) + np.packbits(maps.masks).tobytes()
    return min(coder.finish(), raw, key=len)


def unpack(data: bytes, width: int, height: int, items: int = 0) -> RegionMaps:
    """The maps of an image of this size; `items` as in `pack`.

    Raises:
        BitstreamError: the bytes cannot be such maps.
    """
    shapes = grid_shapes(width, height)
    if data and data[0] >= RAW_BYTE:
        return unpack_raw(data[1:], shapes[data[0] - RAW_BYTE], items)
    coder = RangeDecoder(data)
    grid = int(coder.decode(table_of(GRID_KINDS), 1)[0])
    if grid == len(GRIDS):
        raise BitstreamError("the region stream is damaged")
    shape = shapes[grid]
    count = items or int(coder.decode(table_of(COUNTS), 1)[0])
    masks = np.zeros((count, *shape), np.bool_)
    kinds = FIRST_KIND
    for k in range(count):
        kind = int(coder.decode(table_of(kinds), 1)[0])
        kinds = NEXT_KIND[kind]
        masks[k] = decode_mask(coder, masks[:k]) if kind == MIXED else kind == FULL
    return RegionMaps(masks)


def unpack_raw(cells: bytes, shape: tuple[int, int], items: int) -> RegionMaps:
    """Maps from their cells; the number of items follows from the length, as a mask has more than 8 cells."""
    size = shape[0] * shape[1]
    count = items or 8 * len(cells) // size
    if count > MAX_ITEMS or len(cells) != -(-count * size // 8):
        raise BitstreamError("the region stream has another length than its maps")
    bits = np.unpackbits(np.frombuffer(cells, np.uint8)).astype(np.bool_)
    if bits[count * size :].any():
        raise BitstreamError("the region stream goes on after its last cell")
    return RegionMaps(bits[: count * size].reshape(count, *shape))


def encode_mask(coder: RangeEncoder, mask: Mask, earlier: Mask) -> None:
    """Append a mask (rows, columns) that follows the earlier ones (k, rows, columns)."""
    cells = mask.tolist()

    def code(row: int, column: int, contexts: Contexts) -> int:
        bit = int(cells[row][column])
        coder.encode([bit], cell_table(score(contexts)))
        return bit

    code_mask(earlier, code)


def decode_mask(coder: RangeDecoder, earlier: Mask) -> Mask:
    """The next mask (rows, columns)."""
    return code_mask(earlier, lambda row, column, contexts: int(coder.decode(cell_table(score(contexts)), 1)[0]))


def code_mask(earlier: Mask, code: Callable[[int, int, Contexts], int]) -> Mask:
    """Go through a mask's cells, row by row; `code(row, column, contexts)` gives each.

    Beyond the grid, a cell left of a row has the value of the first cell of the row above, a cell right of a row that
    of the row's last cell, and cells above the grid are 0.
    """
    count, rows, columns = earlier.shape
    others = np.pad(earlier.any(0), 1, mode="edge").astype(int).tolist()
    cells = [[0] * (columns + 2 * MARGIN) for _ in range(rows + MARGIN)]
    begun = 0
    for i in range(rows):
        row, n, nn, nnn = (cells[i + MARGIN - up] for up in range(4))
        row[:MARGIN] = [n[MARGIN]] * MARGIN
        for j in range(columns):
            at = j + MARGIN
            w, ww, www = row[at - 1], row[at - 2], row[at - 3]
            nw, north, ne = n[at - 1], n[at], n[at + 1]
            above, here, below = (others[i + down][j : j + 3] for down in range(3))
            contexts = (
                binary(w, north, nw, ne, ww, nn[at], n[at + 2], nn[at - 1]),
                binary(www, ww, w, n[at - 2], nw, north),
                binary(nnn[at], nn[at], north, nn[at + 1], nn[at - 1], w),
                (5 * border(i, rows) + border(j, columns)) * 4 + binary(w, north),
                min(count, 2) * 32 + binary(here[1], here[2], below[1], here[0], above[1]),
                GRIDS.index(min(rows, columns)) * SCALE_ROW + binary(begun, w, north, ne),
            )
            row[at] = code(i, j, contexts)
            begun |= row[at]
        row[-MARGIN:] = [row[at]] * MARGIN
    return np.array(cells, np.bool_)[MARGIN:, MARGIN:-MARGIN]


def binary(*bits: int) -> int:
    """The number with these bits, the highest first."""
    value = 0
    for bit in bits:
        value = 2 * value + bit
    return value


def border(position: int, length: int) -> int:
    """0 and 1: the first two of a row or column; 3 and 4: the last two; 2: between."""
    last = length - 1 - position
    return 4 - last if last < 2 else min(position, 2)


def score(contexts: Contexts) -> int:
    """Logarithm of the odds that a cell is set, in sixteenths."""
    return sum(table[context] for table, context in zip(TABLES, contexts, strict=True))


@functools.cache
def odds(value: int) -> int:
    """e^(value / 16), in units of 2^-32."""
    return odds(value - 1) * ODDS_STEP >> 32 if value else 1 << 32


@functools.cache
def cell_table(value: int) -> FrequencyTable:
    """Frequencies of a free and of a set cell at a score."""
    ratio = odds(min(abs(value), MAX_SCORE))
    likelier = TOTAL * ratio // (ratio + (1 << 32))
    return FrequencyTable([TOTAL - likelier, likelier] if value > 0 else [likelier, TOTAL - likelier])


@functools.cache
def table_of(shares: tuple[int, ...]) -> FrequencyTable:
    """The table of frequencies in units of 1/256."""
    return FrequencyTable([share * (TOTAL >> 8) for share in shares])
