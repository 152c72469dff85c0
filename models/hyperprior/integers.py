"""The pixel stream's entropy model as integers, from trained floats.

Weights get 12 fraction bits, biases the fraction bits of their layer's sums, Gaussian tables 24-bit frequencies. The
floats are read only when a checkpoint is written; a decoder reads only the integers in the file.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ...bits.arithmetic.range_coder import TOTAL
from ...bits.pixels.entropy_model import ACTIVATION_BITS, INDEX_SLOPE_BITS, UNIT_BITS, WEIGHT_BITS, quality_weights
from .slices import INDEX_START, LOG_SCALE_STEP, SCALE_COUNT, SCALE_MIN, SliceParameters

if TYPE_CHECKING:
    from .hyperprior import Hyperprior

__all__ = ["driving_layers", "exact_arrays", "gaussian_frequencies"]

Ints = npt.NDArray[np.int32]


def driving_layers(model: Hyperprior) -> dict[str, tuple[nn.Conv2d, int]]:
    """Name in the file, layer, and fraction bits of its input, of every layer that drives decoding."""
    groups: dict[str, Iterable[nn.Module]] = {"h_s": model.h_s}
    for k, part in enumerate(model.slices):
        assert isinstance(part, SliceParameters)
        if part.before is not None:
            groups[f"slices.{k}.before"] = [part.before]
        groups |= {f"slices.{k}.first": part.first, f"slices.{k}.context": [part.context]}
        groups[f"slices.{k}.second"] = part.second
    return {
        f"{name}.{i}": (layer, UNIT_BITS if name.endswith(("before", "context")) else ACTIVATION_BITS)
        for name, group in groups.items()
        for i, layer in enumerate(layer for layer in group if isinstance(layer, nn.Conv2d))
    }


def exact_arrays(model: Hyperprior) -> dict[str, Ints]:
    """The integer arrays that `misc.bits.pixels.entropy_model.LatentModel` takes."""
    arrays: dict[str, Ints] = {}
    for name, (layer, bits) in driving_layers(model).items():
        assert layer.bias is not None
        bias = layer.bias.detach().double() * 2 ** (bits + WEIGHT_BITS)
        arrays[f"{name}.weight"] = integers(layer.weight.detach().double() * 2**WEIGHT_BITS)
        arrays[f"{name}.bias"] = integers(bias + index_start(name, len(bias), bits))
    levels = model.z_scale_index.detach().double().cpu().numpy()
    weights = np.stack([quality_weights(quality) for quality in range(256)]) / 2**ACTIVATION_BITS
    arrays["z_scale_index"] = np.clip(np.rint(weights @ levels), 0, SCALE_COUNT - 1).astype(np.int32)
    arrays["frequencies"] = gaussian_frequencies()
    return arrays


def index_start(name: str, outputs: int, bits: int) -> Tensor:
    """(outputs,) offset of a layer's bias in the file, so that its second half gives scale indices."""
    start = torch.zeros(outputs, dtype=torch.float64)
    if name.endswith(("first.1", "second.1")):
        start[outputs // 2 :] = INDEX_START * 2 ** (bits + WEIGHT_BITS - INDEX_SLOPE_BITS)
    return start


def integers(x: Tensor) -> Ints:
    return x.round().to(torch.int32).cpu().numpy()


def gaussian_frequencies() -> Ints:
    """(SCALE_COUNT, r + 2): 24-bit frequencies of 0, 1 .. r at each scale, zeros beyond its radius, the escape's."""
    radii = [math.ceil(6 * SCALE_MIN * math.exp(LOG_SCALE_STEP * i)) + 4 for i in range(SCALE_COUNT)]
    rows = np.zeros((SCALE_COUNT, max(radii) + 2), np.int32)
    for i, (row, radius) in enumerate(zip(rows, radii, strict=True)):
        scale = SCALE_MIN * math.exp(LOG_SCALE_STEP * i) * math.sqrt(2)
        upper = [math.erfc((k - 0.5) / scale) / 2 for k in range(radius + 2)]
        for k in range(1, radius + 1):
            row[k] = max(1, round(TOTAL * (upper[k] - upper[k + 1])))
        row[-1] = max(1, round(TOTAL * 2 * upper[radius + 1]))
        row[0] = TOTAL - 2 * int(row[1 : radius + 1].sum()) - int(row[-1])
    return rows
