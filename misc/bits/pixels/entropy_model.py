"""Entropy model of the pixel stream: exact networks that give every symbol its frequency table.

    quality ─┐
    z ───────┴─► h_s ─► features ─► + before(y of the slices before) ─► first ─► means, scale indices of the anchors
                                                └─► + context(y of the anchors) ─► second ─► ... of the others

The channels of y are coded in slices (Minnen 2020, arXiv 2007.08739). The networks are `exact_net`s. Symbols are coded
in the order of their scale index, then of their position; one outside its table is an escape, and the escaped values
follow the pass at 16 bits each.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import WeightsError
from ...weights.safe import load as load_arrays
from ...weights.safe import refusing
from ..arithmetic.exact_net import Conv2d, ExactNet, PixelShuffle, Relu
from ..arithmetic.range_coder import PRECISION, RAW_BITS, FrequencyTable, RangeDecoder, RangeEncoder

__all__ = ["LEVELS", "LatentModel", "SliceModel", "load", "quality_weights"]

UNIT_BITS = 6
ACTIVATION_BITS, WEIGHT_BITS = 10, 12
ACTIVATION_LIMIT = 1 << 19
Y_LIMIT = 1 << 15
INDEX_SLOPE_BITS = 3
LEVELS = 8

SYMBOL_LIMIT = 1 << 15

Array = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]


def quality_weights(quality: int) -> npt.NDArray[np.int64]:
    """(LEVELS,) interpolation weights of a quality in 0..255, in units of 2^-ACTIVATION_BITS."""
    distance = np.abs((LEVELS - 1) * quality - 255 * np.arange(LEVELS))
    weights: npt.NDArray[np.int64] = ((np.maximum(255 - distance, 0) << ACTIVATION_BITS) + 127) // 255
    return weights


class SliceModel:
    """The networks of one slice of y's channels.

    Args:
        arrays: as in `LatentModel`.
        name: of the slice in the arrays.
        start: number of channels in the slices before.

    Attributes:
        channels: of y in this slice.
    """

    def __init__(self, arrays: Mapping[str, Array], name: str, start: int) -> None:
        self._before = conv(arrays, f"{name}.before.0", UNIT_BITS, Y_LIMIT) if start else None
        self._first, self._second = conv(arrays, f"{name}.first.0"), conv(arrays, f"{name}.second.0")
        self._context = conv(arrays, f"{name}.context.0", UNIT_BITS, Y_LIMIT)
        self._first_heads, self._second_heads = heads(arrays, f"{name}.first.1"), heads(arrays, f"{name}.second.1")
        self.channels = slice(start, start + len(self._first_heads[0].weight))

    def known(self, features: Floats, y: Array) -> Floats:
        """(1, k, h, w): the features and what the slices before tell; y: (m, h, w)."""
        return features if self._before is None else features + self._before(context_input(y[: self.channels.start]))

    def anchor_parameters(self, known: Floats, anchors: Mask) -> tuple[Array, Array]:
        """Means (channels, count), in units of 1/64, and scale indices of the positions coded first, a mask (h, w)."""
        return parameters(self._first, self._first_heads, known[:, :, anchors])

    def other_parameters(self, known: Floats, y: Array, others: Mask) -> tuple[Array, Array]:
        """Means and scale indices, as above, of the positions coded second; y: (m, h, w), zero where not yet known."""
        context = self._context.at(context_input(y[self.channels]), others)
        return parameters(self._second, self._second_heads, known[:, :, others] + context)


class LatentModel:
    """The entropy model of the pixel stream.

    Args:
        arrays: integer arrays as `misc.models.hyperprior.integers` makes them: `<layer>.weight`, `<layer>.bias` for the
            layers h_s.0-2 and, of every slice k, slices.k.before.0 (not in the first), slices.k.first.0-1,
            slices.k.context.0, slices.k.second.0-1; `z_scale_index` (256, n); `frequencies` (scales, r + 2).

    Attributes:
        checksum: CRC-32 of all arrays.
        slices: of y's channels, in the order of coding.
        z_channels, y_channels: n and m.
    """

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        try:
            self._h_s = ExactNet(
                [
                    conv(arrays, "h_s.0"),
                    Relu(),
                    conv(arrays, "h_s.1"),
                    PixelShuffle(2),
                    Relu(),
                    conv(arrays, "h_s.2"),
                    Relu(),
                ]
            )
            self.slices: list[SliceModel] = []
            self.y_channels = 0
            numbers = [int(name.split(".")[1]) for name in arrays if name.startswith("slices.")]
            for k in range(1 + max(numbers, default=0)):
                self.slices.append(SliceModel(arrays, f"slices.{k}", self.y_channels))
                self.y_channels = self.slices[-1].channels.stop
            self._z_scale_index = arrays["z_scale_index"].astype(np.int64)
            self._tables = [symmetric_table(row) for row in arrays["frequencies"].astype(np.int64)]
        except KeyError as error:
            raise WeightsError(f"the pixel stream's weights lack {error.args[0]}") from error
        content = (arrays[name].astype("<i4").tobytes() for name in sorted(arrays))
        self.checksum = functools.reduce(lambda crc, part: zlib.crc32(part, crc), content, 0)
        self.z_channels = self._z_scale_index.shape[1]

    def features(self, z: Array, quality: int, shape: tuple[int, int]) -> Floats:
        """(1, k, h, w) features of the hyper-latents at y's positions."""
        scaled = np.clip(z.astype(np.float64) * (1 << ACTIVATION_BITS), -ACTIVATION_LIMIT, ACTIVATION_LIMIT)
        planes = np.broadcast_to(quality_weights(quality)[:, None, None], (LEVELS, *z.shape[1:]))
        result = self._h_s(np.concatenate([scaled, planes])[None])
        return result[:, :, : shape[0], : shape[1]]

    def z_index(self, quality: int, shape: tuple[int, int]) -> Array:
        """Scale indices (n, rows, columns) of z."""
        index = self._z_scale_index[quality][:, None, None]
        return np.broadcast_to(index, (self.z_channels, *shape))

    def encode(self, coder: RangeEncoder, symbols: Array, index: Array) -> None:
        """Append symbols, (count,) with scale indices (count,), which are cut to the range of the tables."""
        escaped: list[Array] = []
        for table, where in self._groups(index):
            values = symbols[where]
            radius = table.frequencies.size // 2 - 1
            outside = np.abs(values) > radius
            coder.encode(np.where(outside, 2 * radius + 1, values + radius), table)
            escaped.append(values[outside])
        if escaped:
            coder.encode_raw(np.concatenate(escaped) + SYMBOL_LIMIT)

    def decode(self, coder: RangeDecoder, index: Array) -> Array:
        """The next symbols, (count,) for scale indices (count,)."""
        symbols = np.empty(index.shape, np.int32)
        escapes = []
        for table, where in self._groups(index):
            radius = table.frequencies.size // 2 - 1
            values = coder.decode(table, len(where))
            symbols[where] = values - radius
            escapes.append(where[values == 2 * radius + 1])
        places = np.concatenate(escapes) if escapes else np.empty(0, np.int64)
        if places.size:
            symbols[places] = coder.decode_raw(places.size) - SYMBOL_LIMIT
        return symbols

    def bits(self, symbols: Array, index: Array) -> npt.NDArray[np.float64]:
        """Bits of each symbol, at its scale index; both of any shape."""
        table = self._bits
        most = table.shape[1] // 2
        cost: npt.NDArray[np.float64] = table[np.clip(index, 0, len(table) - 1), np.clip(symbols, -most, most) + most]
        return cost

    @functools.cached_property
    def _bits(self) -> npt.NDArray[np.float64]:
        """(scales, 2 r + 3) bits of the symbols -r - 1 to r + 1, r the largest of all tables; the ends are escapes."""
        radii = [table.frequencies.size // 2 - 1 for table in self._tables]
        middle = max(radii) + 1
        bits = np.empty((len(radii), 2 * middle + 1))
        for row, table, radius in zip(bits, self._tables, radii, strict=True):
            *inside, escape = PRECISION - np.log2(table.frequencies)
            row[:] = escape + RAW_BITS
            row[middle - radius : middle + radius + 1] = inside
        return bits

    def _groups(self, index: Array) -> list[tuple[FrequencyTable, npt.NDArray[np.intp]]]:
        """Tables in use, each with the positions that it codes, in order."""
        index = np.clip(index, 0, len(self._tables) - 1)
        order = np.argsort(index, kind="stable")
        counts = np.bincount(index, minlength=len(self._tables))
        ends = np.cumsum(counts)
        return [(self._tables[i], order[ends[i] - counts[i] : ends[i]]) for i in np.flatnonzero(counts)]


def conv(
    arrays: Mapping[str, Array], name: str, input_bits: int = ACTIVATION_BITS, input_limit: int = ACTIVATION_LIMIT
) -> Conv2d:
    """A layer whose output has ACTIVATION_BITS fraction bits."""
    shift = input_bits + WEIGHT_BITS - ACTIVATION_BITS
    return Conv2d(arrays[f"{name}.weight"], arrays[f"{name}.bias"], shift, ACTIVATION_LIMIT, input_limit)


def heads(arrays: Mapping[str, Array], name: str) -> tuple[Conv2d, Conv2d]:
    """The last layer's two halves: means in units of 1/64, scale indices as whole numbers."""
    weights, biases = (np.split(arrays[f"{name}.{part}"], 2) for part in ("weight", "bias"))
    bits = ACTIVATION_BITS + WEIGHT_BITS
    shifts = (bits - UNIT_BITS, bits - INDEX_SLOPE_BITS)
    first, second = (
        Conv2d(w, b, s, ACTIVATION_LIMIT, ACTIVATION_LIMIT) for w, b, s in zip(weights, biases, shifts, strict=True)
    )
    return first, second


def context_input(y: Array) -> Floats:
    """(1, channels, h, w): latents (channels, h, w) within the range of the context layers."""
    clipped: Floats = np.clip(y, -Y_LIMIT, Y_LIMIT).astype(np.float64)[None]
    return clipped


def parameters(layer: Conv2d, last: tuple[Conv2d, Conv2d], known: Floats) -> tuple[Array, Array]:
    """Means and scale indices (channels, count) from what is known, (1, k, count)."""
    hidden = Relu()(layer(np.clip(Relu()(known), 0, ACTIVATION_LIMIT)[:, :, None]))
    means, index = (head(hidden)[0, :, 0].astype(np.int32) for head in last)
    return means, index


def symmetric_table(row: npt.NDArray[np.int64]) -> FrequencyTable:
    """row: frequencies of 0, 1 .. r, zeros, and last the escape's. Returns the table of -r .. r and escape."""
    half = row[:-1][row[:-1] > 0]
    return FrequencyTable(np.concatenate([half[:0:-1], half, row[-1:]]))


def load(path: Path) -> LatentModel:
    """The model from the tensors named `exact.*` of a safetensors file; the others are not read.

    Raises:
        WeightsError: the file is missing, damaged or no such model.
    """
    with refusing(path, "the pixel stream"):
        return LatentModel(load_arrays(path, prefix="exact.").tensors)
