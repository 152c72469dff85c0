"""Functions of the exact transformer that work number by number, in float64; the same bits on every machine.

They write over their own intermediate arrays: for one position, new arrays would take longer than the arithmetic.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt

__all__ = ["exact_exp", "round_positions", "round_rows"]

F64 = npt.NDArray[np.float64]

EXP_STEPS, EXP_BITS = 4096, 40
LOG2_E = 1.4426950408889634
EXPONENT_BIAS, MANTISSA_BITS = 1023, 52  # of float64


@functools.cache
def exp2_table() -> F64:
    """2^(i / EXP_STEPS) for i = 0 to EXP_STEPS, rounded down to EXP_BITS fraction bits; from integer square roots."""
    bits = 200
    root = 2 << bits
    for _ in range(EXP_STEPS.bit_length() - 1):
        root = math.isqrt(root << bits)
    powers = [1 << bits]
    for _ in range(EXP_STEPS):
        powers.append(powers[-1] * root >> bits)
    return np.array([power >> (bits - EXP_BITS) for power in powers], np.float64) * 2.0**-EXP_BITS


def exact_exp(x: F64) -> F64:
    """e^x to about 4 digits, the same bits everywhere; x is taken between -700 and 700."""
    y = np.maximum(x, -700.0)
    np.minimum(y, 700.0, out=y)
    y *= LOG2_E
    whole = np.floor(y)
    y -= whole
    y *= EXP_STEPS
    powers = whole.astype(np.int64)
    powers += EXPONENT_BIAS
    powers <<= MANTISSA_BITS  # 2^whole, by its bits
    result: F64 = exp2_table().take(np.rint(y, out=y).astype(np.int64))
    result *= powers.view(np.float64)
    return result


def round_rows(x: F64, levels: int) -> tuple[F64, F64]:
    """Integers q in [-levels, levels] and powers of two s, one for each last axis, with x about q * s."""
    largest = np.maximum.reduce(np.abs(x), axis=-1, keepdims=True)
    _, exponent = np.frexp(largest / levels)
    scale = np.ldexp(1.0, exponent)
    integers = x / scale
    return np.rint(integers, out=integers), scale


def round_positions(x: F64, levels: int) -> tuple[F64, F64 | float]:
    """As `round_rows` for x (T, n). For one position the scale is a number, which takes a third of the time."""
    if len(x) != 1:
        return round_rows(x, levels)
    sizes = np.abs(x[0])
    _, exponent = math.frexp(sizes.item(sizes.argmax()) / levels)
    scale = math.ldexp(1.0, exponent)
    integers = x / scale
    return np.rint(integers, out=integers), scale
