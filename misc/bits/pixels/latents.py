"""Pixel stream, exact side: integer latents to bytes and back.

    quality ─┐
    z ───────┴─► h_s ─► features ─► for each slice of y's channels:
                          known = features + before(y of the slices before)
                          known ─► first ─► means, scale indices of the anchors ─► y, first pass
                          known + context(y, first pass) ─► second ─► ... of the others ─► y, second pass

    bytes: quality (8 bits) | range coder: z, for each slice y at even row + column, y at odd row + column

The networks are `exact_net`s. y is held in units of 1/64: its mean (an integer of that unit) plus a whole symbol.
In every pass symbols are coded in the order of their scale index, then of their position (channel, row, column);
one outside its table is an escape, and the escaped values follow the pass at 16 bits each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...errors import BitstreamError, InputError
from ..arithmetic.range_coder import RangeDecoder, RangeEncoder
from .entropy_model import SYMBOL_LIMIT, UNIT_BITS, Array, Floats, LatentModel, Mask

__all__ = ["PixelLatents", "check", "encode", "follow", "pack", "quantise", "shapes", "symbols_of", "unpack"]

STRIDE = 32
UNIT = 1 << UNIT_BITS
FREE_POSITIONS = 1 << 10  # a megapixel; up to this size a stream may have any number of bytes
POSITIONS_A_BYTE = 8

Code = Callable[[slice, Mask, Array, Array], Array]


@dataclass(frozen=True, eq=False)
class PixelLatents:
    """The content of the pixel stream.

    Attributes:
        quality: 0 (fewest bits) to 255.
        z: (n, ceil(h / 2), ceil(w / 2)) int32.
        y: (m, h, w) int32 in units of 1/64; h and w are the image's height and width over 32, rounded up.
    """

    quality: int
    z: Array
    y: Array

    def symbols(self) -> bytes:
        """Canonical bytes of the content, for checksums."""
        return bytes([self.quality]) + self.z.astype("<i4").tobytes() + self.y.astype("<i4").tobytes()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PixelLatents):
            return NotImplemented
        same_shape = self.z.shape == other.z.shape and self.y.shape == other.y.shape
        return same_shape and self.symbols() == other.symbols()

    def __hash__(self) -> int:
        return hash(self.symbols())


def shapes(width: int, height: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Rows and columns of y and of z for an image."""
    h, w = -(-height // STRIDE), -(-width // STRIDE)
    return (h, w), (-(-h // 2), -(-w // 2))


def anchors(shape: tuple[int, int]) -> Mask:
    """(h, w): positions of the first pass, where row + column is even."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return np.asarray((rows + columns) % 2 == 0)


def walk(model: LatentModel, features: Floats, code: Code) -> Array:
    """Go through all passes. Returns y (m, h, w).

    Args:
        features: (1, k, h, w), of the model for z and the quality.
        code: gives the values (channels, positions) of a pass, for its channels, its mask (h, w) of positions, and the
            means and scale indices there.
    """
    shape = features.shape[2:]
    first = anchors((shape[0], shape[1]))
    y = np.zeros((model.y_channels, *shape), np.int32)
    for part in model.slices:
        here, known = y[part.channels], part.known(features, y)
        here[:, first] = code(part.channels, first, *part.anchor_parameters(known, first))
        if not first.all():
            here[:, ~first] = code(part.channels, ~first, *part.other_parameters(known, y, ~first))
    return y


def least_bytes(shape: tuple[int, int]) -> int:
    """The least bytes of a stream for y's shape, about 1/1000 bit per pixel: this bounds the work for few bytes."""
    positions = shape[0] * shape[1]
    return 0 if positions <= FREE_POSITIONS else positions // POSITIONS_A_BYTE


def payload_of(quality: int, coder: RangeEncoder, shape: tuple[int, int]) -> bytes:
    """Bytes of the stream from all that was coded, with zero bytes appended up to the least number."""
    return (bytes([quality]) + coder.finish()).ljust(least_bytes(shape), b"\0")


def encode(y: Floats, z: Floats, quality: int, model: LatentModel) -> tuple[PixelLatents, bytes]:
    """Quantise float latents and code them, with one run of the networks.

    Args:
        y: (m, h, w).
        z: (n, rows, columns).
        quality: 0 to 255.

    Returns:
        the latents, and the bytes that `pack` gives of them.
    """
    z_symbols, coder = whole(z), RangeEncoder()
    model.encode(coder, z_symbols.reshape(-1), model.z_index(quality, (z.shape[1], z.shape[2])).reshape(-1))

    def code(channels: slice, mask: Mask, means: Array, index: Array) -> Array:
        symbols = whole(y[channels][:, mask] - means / UNIT)
        model.encode(coder, symbols.reshape(-1), index.reshape(-1))
        return symbols * UNIT + means

    shape = (y.shape[1], y.shape[2])
    latents = PixelLatents(quality, z_symbols, walk(model, model.features(z_symbols, quality, shape), code))
    return latents, payload_of(quality, coder, shape)


def quantise(y: Floats, z: Floats, quality: int, model: LatentModel) -> PixelLatents:
    """The latents of `encode`."""
    return encode(y, z, quality, model)[0]


def follow(symbols: Array, features: Floats, model: LatentModel) -> tuple[Array, Array]:
    """The latents that have these symbols: y is the mean, which depends on the symbols before, plus the symbol.

    Args:
        symbols: (m, h, w) int32.
        features: (1, k, h, w), of the model for z and the quality.

    Returns:
        y (m, h, w), and the scale index (m, h, w) of every symbol.
    """
    indices = np.zeros_like(symbols)

    def code(channels: slice, mask: Mask, means: Array, index: Array) -> Array:
        indices[channels][:, mask] = index
        return symbols[channels][:, mask] * UNIT + means

    return walk(model, features, code), indices


def symbols_of(y: Array, features: Floats, model: LatentModel) -> tuple[npt.NDArray[np.int32], Array]:
    """Inverse of `follow`: the symbols (m, h, w) of y from `encode`, which are y less its means, and their indices."""
    symbols, indices = np.zeros(y.shape, np.int32), np.zeros(y.shape, np.int32)

    def code(channels: slice, mask: Mask, means: Array, index: Array) -> Array:
        values = y[channels][:, mask]
        symbols[channels][:, mask] = (values - means) // UNIT
        indices[channels][:, mask] = index
        return values

    walk(model, features, code)
    return symbols, indices


def whole(x: Floats) -> npt.NDArray[np.int32]:
    """Nearest integers, within the range of escaped values."""
    rounded: npt.NDArray[np.int32] = np.clip(np.rint(x), -SYMBOL_LIMIT, SYMBOL_LIMIT - 1).astype(np.int32)
    return rounded


def check(latents: PixelLatents, width: int, height: int, model: LatentModel) -> None:
    """Refuse latents that do not fit an image of this size.

    Raises:
        InputError: the quality is out of its range, or z or y has another shape.
    """
    if not 0 <= latents.quality <= 255:
        raise InputError(f"the quality of latents is 0 to 255, not {latents.quality}")
    y_shape, z_shape = shapes(width, height)
    for name, array, shape in (
        ("y", latents.y, (model.y_channels, *y_shape)),
        ("z", latents.z, (model.z_channels, *z_shape)),
    ):
        if array.shape != shape:
            raise InputError(f"{name} of an image of {width}x{height} has the shape {shape}, not {array.shape}")


def pack(latents: PixelLatents, model: LatentModel) -> bytes:
    """Bytes of the latents under the model.

    Raises:
        InputError: they do not come from `quantise`.
    """
    z, quality = latents.z, latents.quality
    coder = RangeEncoder()
    model.encode(coder, z.reshape(-1), model.z_index(quality, (z.shape[1], z.shape[2])).reshape(-1))

    def code(channels: slice, mask: Mask, means: Array, index: Array) -> Array:
        values = latents.y[channels][:, mask]
        if np.any((values - means) % UNIT):
            raise InputError(
                "these latents are not of this model: y is its mean plus a whole number, as latents.quantise makes it"
            )
        model.encode(coder, ((values - means) // UNIT).reshape(-1), index.reshape(-1))
        return values

    shape = (latents.y.shape[1], latents.y.shape[2])
    walk(model, model.features(z, quality, shape), code)
    return payload_of(quality, coder, shape)


def unpack(data: bytes, width: int, height: int, model: LatentModel) -> PixelLatents:
    """Latents of an image of this size.

    Raises:
        BitstreamError: the bytes cannot be such latents.
    """
    if not data:
        raise BitstreamError("the pixel stream is empty")
    y_shape, z_shape = shapes(width, height)
    if len(data) < least_bytes(y_shape):
        raise BitstreamError(f"the pixel stream is too short for {width}x{height} pixels")
    quality, coder = data[0], RangeDecoder(data[1:])
    z = model.decode(coder, model.z_index(quality, z_shape).reshape(-1)).reshape(-1, *z_shape)

    def code(channels: slice, mask: Mask, means: Array, index: Array) -> Array:
        return model.decode(coder, index.reshape(-1)).reshape(means.shape) * UNIT + means

    return PixelLatents(quality, z, walk(model, model.features(z, quality, y_shape), code))
