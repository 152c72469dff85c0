"""Networks whose result is the same on every machine: integers held in floats.

Every number is an integer in a float array. When a layer is built, its largest possible partial sum is computed from
its weights and the largest input. If that bound is below 2^24, the layer runs in float32; below 2^53, in float64;
otherwise it is refused. Below the bound every partial sum is exact. Therefore the order of summation, the number of
threads, fused multiply-add and the BLAS library cannot change a bit. Between layers values are shifted right
by powers of two, rounded half up and clipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Conv2d", "ExactNet", "PixelShuffle", "Relu", "accumulator", "exact_matmul", "requantise"]

MAX_COLUMNS = 1 << 22  # elements of the unrolled input at a time: bounds the memory of large images

Floats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.integer[Any]]


def accumulator(bound: float) -> type[np.float32] | type[np.float64]:
    """The float type in which sums up to `bound` are exact.

    Raises:
        OverflowError: no float type holds them.
    """
    if bound < 2**24:
        return np.float32
    if bound < 2**53:
        return np.float64
    raise OverflowError(f"sums may reach {bound:.3g}, beyond 2^53: use fewer bits or split the sum")


def exact_matmul(a: Floats, b: Floats, bound: float) -> Floats:
    """Exact product of integer matrices, (..., n, k) x (..., k, m), whose partial sums stay within `bound`."""
    kind = accumulator(bound)
    product: Floats = np.matmul(a.astype(kind, copy=False), b.astype(kind, copy=False))
    return product


def requantise(x: Floats, shift: int, limit: int) -> Floats:
    """x / 2^shift rounded half up, clipped to [-limit, limit]; exact while |x| < 2^52."""
    scaled = np.floor(x.astype(np.float64) * 2.0**-shift + 0.5)
    clipped: Floats = np.clip(scaled, -limit, limit)
    return clipped


@dataclass(frozen=True)
class Conv2d:
    """Convolution with zero padding that keeps the size, then requantisation.

    Attributes:
        weight: (outputs, inputs, k, k) integers, k odd.
        bias: (outputs,) integers, in units of the sums.
        shift: right shift after the sum.
        limit: largest output.
        input_limit: largest input it is built for.
    """

    weight: Integers
    bias: Integers
    shift: int
    limit: int
    input_limit: int

    @property
    def bound(self) -> float:
        """Largest magnitude that any partial sum can reach."""
        weight = np.abs(self.weight.astype(np.float64)).reshape(len(self.weight), -1).sum(1)
        return float((weight * self.input_limit + np.abs(self.bias.astype(np.float64))).max()) + 2.0**self.shift

    def __post_init__(self) -> None:
        accumulator(self.bound)

    def __call__(self, x: Floats) -> Floats:
        """x: (B, inputs, H, W) integers within input_limit. Returns (B, outputs, H, W)."""
        batch, inputs, height, width = x.shape
        outputs, _, k, _ = self.weight.shape
        padded = self._padded(x)
        result: Floats = np.empty((batch, outputs, height, width))
        rows = max(1, MAX_COLUMNS // (batch * inputs * k * k * width))
        for top in range(0, height, rows):
            count = min(rows, height - top)
            windows = [padded[:, :, top + i : top + i + count, j : j + width] for i in range(k) for j in range(k)]
            result[:, :, top : top + rows] = self._sums(windows).reshape(batch, outputs, count, width)
        return result

    def at(self, x: Floats, mask: npt.NDArray[np.bool_]) -> Floats:
        """The outputs at some positions: x as above, mask (H, W). Returns (B, outputs, count), row by row."""
        batch, inputs, _, _ = x.shape
        outputs, _, k, _ = self.weight.shape
        padded, (rows, columns) = self._padded(x), np.nonzero(mask)
        result: Floats = np.empty((batch, outputs, len(rows)))
        step = max(1, MAX_COLUMNS // (batch * inputs * k * k))
        for first in range(0, len(rows), step):
            row, column = rows[first : first + step], columns[first : first + step]
            windows = [padded[:, :, row + i, column + j] for i in range(k) for j in range(k)]
            result[:, :, first : first + step] = self._sums(windows)
        return result

    def _padded(self, x: Floats) -> Floats:
        """The input with a border of zeros, in the type of the sums."""
        if x.shape[1] != self.weight.shape[1]:
            raise ValueError(f"the layer takes {self.weight.shape[1]} channels, not {x.shape[1]}")
        pad = self.weight.shape[2] // 2
        return np.pad(x.astype(accumulator(self.bound)), ((0, 0), (0, 0), (pad, pad), (pad, pad)))

    def _sums(self, windows: list[Floats]) -> Floats:
        """(B, outputs, positions) from (B, inputs, ...) for each of the k * k neighbours."""
        kind: Any = accumulator(self.bound)
        weight: Floats = self.weight.reshape(len(self.weight), -1).astype(kind)
        columns = np.stack(windows, axis=2).reshape(len(windows[0]), weight.shape[1], -1)
        sums = exact_matmul(weight, columns, self.bound) + self.bias.astype(kind)[:, None]
        return requantise(sums, self.shift, self.limit)


@dataclass(frozen=True)
class Relu:
    """max(x, 0)."""

    def __call__(self, x: Floats) -> Floats:
        """max(x, 0), for x of any shape."""
        return np.maximum(x, 0)


@dataclass(frozen=True)
class PixelShuffle:
    """(B, C * r^2, H, W) to (B, C, H * r, W * r), channels in torch's order."""

    factor: int

    def __call__(self, x: Floats) -> Floats:
        """x (N, C, H, W) to (N, C / r^2, r * H, r * W), as `torch.nn.PixelShuffle` has it."""
        batch, channels, height, width = x.shape
        r = self.factor
        split = x.reshape(batch, channels // r**2, r, r, height, width).transpose(0, 1, 4, 2, 5, 3)
        return split.reshape(batch, channels // r**2, height * r, width * r)


@dataclass(frozen=True)
class ExactNet:
    """A sequence of layers."""

    layers: Sequence[Conv2d | Relu | PixelShuffle]

    def __call__(self, x: Floats) -> Floats:
        """Every layer after the one before it."""
        for layer in self.layers:
            x = layer(x)
        return x
