"""Products with int8 matrices: exact on every machine, and a quarter of the memory traffic of float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .exact_net import exact_matmul

__all__ = ["ACTIVATION_LEVELS", "PIECE", "SUM_LIMIT", "WEIGHT_LEVELS", "Linear"]

Floats = npt.NDArray[np.floating[Any]]
F64 = npt.NDArray[np.float64]

ACTIVATION_LEVELS = 127
WEIGHT_LEVELS = 127
SUM_LIMIT = (1 << 24) - 1
SPLIT = SUM_LIMIT // (ACTIVATION_LEVELS * WEIGHT_LEVELS)  # longest sum of int8 products that is exact in float32
PIECE = 1 << 17  # weights that are float32 at a time: half a MiB, which stays in the cache of one core


class Linear:
    """x W^T with int8 weights and a power of two for each output.

    Args:
        parts: weight (outputs, inputs) and exponent (outputs,) of each matrix; they take one input, and the outputs
            follow one another.
        whole: keep the weights in float32 too: faster where they fit the processor's cache.
    """

    def __init__(self, *parts: tuple[npt.NDArray[np.int8], npt.NDArray[np.int8]], whole: bool = False) -> None:
        weights, exponents = zip(*parts, strict=True)
        self.weight = weights[0] if len(parts) == 1 else np.concatenate(weights)
        self.whole = self.weight.astype(np.float32) if whole else None
        self.scale: F64 = np.ldexp(1.0, np.concatenate(exponents).astype(np.int32))

    def __call__(self, integers: F64, scale: F64 | float, buffer: npt.NDArray[np.float32]) -> F64:
        """integers: (T, inputs) in [-127, 127]; scale: (T, 1), or a number. Returns (T, outputs).

        The buffer, of `PIECE` numbers or of one row if that is more, is written over.
        """
        x = integers.astype(np.float32)
        sums = self._by_pieces(x, buffer) if self.whole is None else self._sums(x, self.whole)
        scaled: F64 = sums * self.scale
        scaled *= scale
        return scaled

    def _by_pieces(self, x: Floats, buffer: npt.NDArray[np.float32]) -> F64:
        """x W^T, with the weights in float32 piece by piece."""
        outputs, inputs = self.weight.shape
        sums: F64 = np.empty((len(x), outputs))
        rows = max(1, PIECE // inputs)
        for top in range(0, outputs, rows):
            weight = self.weight[top : top + rows]
            piece = buffer[: weight.size].reshape(weight.shape)
            np.copyto(piece, weight)
            sums[:, top : top + rows] = self._sums(x, piece)
        return sums

    @staticmethod
    def _sums(x: Floats, weight: Floats) -> Floats:
        """x W^T, by parts that are exact in float32."""
        if weight.shape[1] <= SPLIT:
            return exact_matmul(x, weight.T, SUM_LIMIT)
        parts = -(-weight.shape[1] // SPLIT)
        columns = zip(np.array_split(x, parts, axis=1), np.array_split(weight, parts, axis=1), strict=True)
        first, *others = [exact_matmul(some, part.T, SUM_LIMIT).astype(np.float64) for some, part in columns]
        return sum(others, first)
