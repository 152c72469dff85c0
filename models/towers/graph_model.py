"""Runs a small convolutional graph in torch, node by node, as `misc.train.prepare.detector` wrote it.

    FILE.safetensors    tensors: constants, kernels as torch has them, half precision
                        metadata `graph`: JSON, {node: {"op", "inputs", "stride", "same", "fused", "depthwise"}}

Values are (B, H, W, C), as in the original graph; a node is computed when it is needed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ...weights.safe import load, refusing

__all__ = ["OPERATIONS", "GraphModel"]


class GraphModel:
    """A graph with its constants.

    Args:
        path: of the weights file.

    Raises:
        WeightsError: the file is missing, damaged, or not a graph of known operations.
    """

    def __init__(self, path: Path) -> None:
        with refusing(path, "the detector"):
            weights = load(path, "pt")
            self.nodes: dict[str, dict[str, Any]] = json.loads(weights.metadata["graph"])
            self.constants = {name: tensor.float() for name, tensor in weights.tensors.items()}
            if unknown := {node["op"] for node in self.nodes.values()} - OPERATIONS.keys():
                raise KeyError(unknown)
        for name, value in self.constants.items():
            if value.ndim == 4:
                self.constants[name] = value.contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def run(self, inputs: dict[str, Tensor], outputs: Sequence[str]) -> list[Tensor]:
        """Values of nodes."""
        values = self.constants | inputs
        return [self._value(name, values) for name in outputs]

    def _value(self, name: str, values: dict[str, Tensor]) -> Tensor:
        if name not in values:
            node = self.nodes[name]
            arguments = [self._value(each, values) for each in node["inputs"]]
            values[name] = OPERATIONS[node["op"]](node, *arguments)
        return values[name]


def convolve(node: dict[str, Any], x: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
    """A convolution and its fused operations."""
    x, stride = x.permute(0, 3, 1, 2), node["stride"]
    if node["same"]:
        pads: list[int] = []
        for axis in (3, 2):
            side, reach = x.shape[axis], kernel.shape[axis]
            total = max(0, (-(-side // stride) - 1) * stride + reach - side)
            pads += [total // 2, total - total // 2]
        x = functional.pad(x, pads)
    groups = x.shape[1] if node["depthwise"] else 1
    y = functional.conv2d(x, kernel, bias, stride, groups=groups).permute(0, 2, 3, 1)
    return OPERATIONS[node["fused"]](node, y) if node["fused"] else y


def resize(_: dict[str, Any], x: Tensor, size: Tensor) -> Tensor:
    """Bilinear, sampled at row * height / new height."""
    for axis, new in zip((1, 2), size.flatten().int().tolist(), strict=True):
        old = x.shape[axis]
        place = torch.arange(new) * (old / new)
        low = place.long()
        share = (place - low).view(-1, *[1] * (3 - axis))
        high = (low + 1).clamp(max=old - 1)
        x = torch.lerp(x.index_select(axis, low), x.index_select(axis, high), share)
    return x


OPERATIONS: dict[str, Callable[..., Tensor]] = {
    "Identity": lambda _, x: x,
    "Add": lambda _, a, b: a + b,
    "Mul": lambda _, a, b: a * b,
    "Relu": lambda _, x: functional.relu(x),
    "Relu6": lambda _, x: functional.relu6(x),
    "Sigmoid": lambda _, x: torch.sigmoid(x),
    "Mean": lambda _, x, axes: x.mean(axes.flatten().int().tolist(), keepdim=True),
    "ConcatV2": lambda _, *parts: torch.cat(parts[:-1], int(parts[-1])),
    "ResizeBilinear": resize,
    "Convolution": convolve,
}
