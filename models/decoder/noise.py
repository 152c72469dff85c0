"""Gaussian noise that depends on nothing but its seed: counter-based, on the CPU, element by element.

Philox's words (Salmon 2011, 10.1145/2063384.2063405) and the Box-Muller transform are spelled out, because numpy
promises to keep the words of a bit generator, but not the normal variates that it makes of them.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

__all__ = ["gaussian"]


def gaussian(seed: int, shape: tuple[int, ...], stream: int = 0) -> npt.NDArray[np.float32]:
    """Independent standard normal variates of a shape, float32.

    Args:
        seed: 0 to 2^64 - 1, usually the file's.
        shape: of the result.
        stream: another number gives other noise of the same seed.
    """
    count = math.prod(shape)
    words = np.random.Philox(key=np.array([seed, stream], np.uint64)).random_raw(2 * -(-count // 2))
    uniform = ((words >> np.uint64(11)) + np.uint64(1)).astype(np.float64) * 2.0**-53  # above 0, at most 1
    radius, angle = np.sqrt(-2 * np.log(uniform[::2])), 2 * np.pi * uniform[1::2]
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
    noise: npt.NDArray[np.float32] = pairs.reshape(-1)[:count].reshape(shape).astype(np.float32)
    return noise
