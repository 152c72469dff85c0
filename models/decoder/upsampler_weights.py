"""The upsampler's weights in 8 bits: one safetensors file with its configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ...errors import WeightsError
from .int8_weights import quantised, restored
from .upsampler import Upsampler

__all__ = ["load_upsampler", "save_upsampler"]


def save_upsampler(network: Any, path: Path) -> None:
    """Write weights of 8 bits, and the configuration that they need."""
    weights = quantised({name: value.detach().cpu() for name, value in network.state_dict().items()})
    temporary = path.with_suffix(".part")
    save_file(weights, temporary, {"config": json.dumps(network.config)})
    temporary.replace(path)


def load_upsampler(path: Path) -> Upsampler:
    """The network of a file that `save_upsampler` wrote, in float32.

    Raises:
        WeightsError: the file is missing, damaged, or of another network.
    """
    try:
        with safe_open(path, framework="pt") as file:
            config = json.loads(file.metadata()["config"])
            state = restored({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
        network = Upsampler(**config)
        network.load_state_dict(state)
    except FileNotFoundError as error:
        raise WeightsError(f"the weights {path.name} are missing") from error
    except (SafetensorError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path.name} does not hold an upsampler") from error
    return network.eval()
