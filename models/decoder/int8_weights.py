"""Networks of diffusers in a quarter of the space: weights of 8 bits with a scale for each output channel.

folder/config.json                          as diffusers' own
folder/int8.safetensors    name             int8, or half precision for what is small
                           name.scale       float32, a factor for each output channel
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from ...weights.safe import load, refusing

__all__ = ["FILE", "load_int8", "quantise", "restore", "save_int8"]

FILE, SCALE = "int8.safetensors", ".scale"
SMALL = 4096  # weights that are not worth a scale
LEVELS = 127


def quantise(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state of a network in 8 bits: matrices and kernels by output channel, everything else in half precision."""
    packed: dict[str, Tensor] = {}
    for name, value in state.items():
        if value.ndim < 2 or value.numel() < SMALL:
            packed[name] = value.half().contiguous()
            continue
        rows = value.float().flatten(1)
        scale = rows.abs().amax(1).clamp_min(1e-12) / LEVELS
        packed[name] = (rows / scale[:, None]).round().to(torch.int8).reshape(value.shape).contiguous()
        packed[name + SCALE] = scale.contiguous()
    return packed


def restore(packed: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state (float32) of what `quantise` made."""
    state: dict[str, Tensor] = {}
    for name, value in packed.items():
        if name.endswith(SCALE):
            continue
        scale = packed.get(name + SCALE)
        state[name] = value.float() if scale is None else value.float() * scale.view(-1, *[1] * (value.ndim - 1))
    return state


def save_int8(net: Any, folder: Path) -> None:
    """Write a network of diffusers without the path from which it was loaded."""
    folder.mkdir(parents=True, exist_ok=True)
    net.save_config(folder)
    config = folder / "config.json"
    kept = {name: value for name, value in json.loads(config.read_text("utf-8")).items() if name != "_name_or_path"}
    config.write_text(json.dumps(kept, indent=2) + "\n")
    weights = quantise({name: value.detach().cpu() for name, value in net.state_dict().items()})
    temporary = folder / (FILE + ".tmp")
    save_file(weights, temporary)
    temporary.replace(folder / FILE)


def load_int8(kind: Any, folder: Path, dtype: torch.dtype) -> Any:
    """A network of diffusers from a folder that `save_int8` wrote.

    Args:
        kind: its class.
        dtype: of the weights in memory.

    Raises:
        WeightsError: the file is missing, damaged or holds another network.
    """
    with refusing(folder / FILE, f"the decoder's {folder.name}"):
        state = restore(load(folder / FILE, "pt").tensors)
        net = kind.from_config(kind.load_config(folder, local_files_only=True))
        net.load_state_dict(state)
    return torch.nn.Module.to(net, dtype)  # diffusers' own `to` warns
