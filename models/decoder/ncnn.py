"""Weights of ncnn, read as data: the convolutions of a `.param` graph and their numbers in the `.bin` beside it.

    .param   text: a magic number, counts, then one layer a line: type name inputs outputs blobs... key=value...
    .bin     a layer after the other, in the order of the graph; of a convolution a tag of 4 bytes, the weights as
             float16 padded to 4 bytes, the biases as float32

Only what the networks of this project need is read: convolutions with a bias, weights stored as float16.
Format: https://github.com/Tencent/ncnn/wiki/param-and-model-file-structure
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...errors import WeightsError

__all__ = ["Convolution", "read_convolutions"]

MAGIC = "7767517"
HALF = 0x01306B47  # the tag of weights stored as float16
ALIGNMENT = 4

Convolution = tuple[Tensor, Tensor]  # weight (out, in, k, k) and bias (out,), float32


def read_convolutions(param: Path, weights: Path) -> list[Convolution]:
    """All convolutions of a graph, in its order.

    Args:
        param: the graph's text.
        weights: the numbers.

    Raises:
        WeightsError: a file is missing, is not of this form, or has bytes too many or too few.
    """
    try:
        lines, data = param.read_text("utf-8").splitlines(), weights.read_bytes()
    except OSError as error:
        raise WeightsError(f"the weights {weights.name} are missing: `misc pull` fetches them") from error
    except UnicodeDecodeError as error:
        raise WeightsError(f"{param.name} is not a graph of ncnn") from error
    if not lines or lines[0].strip() != MAGIC:
        raise WeightsError(f"{param.name} is not a graph of ncnn")
    convolutions, position = [], 0
    try:
        for line in lines[2:]:
            if line.startswith("Convolution "):
                convolution, position = read_convolution(line, data, position)
                convolutions.append(convolution)
    except (ValueError, KeyError) as error:
        raise WeightsError(f"{weights.name} does not hold the layers of {param.name}") from error
    if position != len(data):
        raise WeightsError(f"{weights.name} has {len(data)} bytes; its graph accounts for {position}")
    return convolutions


def read_convolution(line: str, data: bytes, position: int) -> tuple[Convolution, int]:
    """The convolution of a line of the graph, and where the next layer begins.

    Raises:
        ValueError, KeyError: the line or the bytes are not of this form.
    """
    options = dict(pair.split("=", 1) for pair in line.split() if "=" in pair)
    outputs, side, count = (int(options[key]) for key in ("0", "1", "6"))
    if options.get("5") != "1" or count % (outputs * side * side):
        raise ValueError("not a convolution with a bias")
    if int.from_bytes(data[position : position + 4], "little") != HALF:
        raise ValueError("the weights are not stored as float16")
    begin = position + 4
    end = begin + -(-2 * count // ALIGNMENT) * ALIGNMENT
    weight = np.frombuffer(data, "<f2", count, begin).astype(np.float32).reshape(outputs, -1, side, side)
    bias = np.frombuffer(data, "<f4", outputs, end).astype(np.float32)
    return (torch.from_numpy(weight), torch.from_numpy(bias)), end + 4 * outputs
