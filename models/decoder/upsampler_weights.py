"""The upsampler's weights in 8 bits: one safetensors file with its configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from ...weights.safe import load, refusing
from .int8_weights import quantise, restore
from .upsampler import Upsampler

__all__ = ["load_upsampler", "save_upsampler"]


def save_upsampler(network: Any, path: Path) -> None:
    """Write weights of 8 bits, and the configuration that they need."""
    weights = quantise({name: value.detach().cpu() for name, value in network.state_dict().items()})
    temporary = path.with_suffix(".part")
    save_file(weights, temporary, {"config": json.dumps(network.config)})
    temporary.replace(path)


def load_upsampler(path: Path) -> Upsampler:
    """The network of a file that `save_upsampler` wrote, in float32.

    Raises:
        WeightsError: the file is missing, damaged, or of another network.
    """
    with refusing(path, "the upsampler"):
        weights = load(path, framework="pt")
        network = Upsampler(**json.loads(weights.metadata["config"]))
        network.load_state_dict(restore(weights.tensors))
    return network.eval()
