"""A run's files: its state, from which it continues, and its weights. Each file is complete or not there."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from ..errors import WeightsError

__all__ = ["STATE", "load_state", "restore", "save", "write_tensors"]

STATE = "state.pt"


def save(
    path: Path,
    networks: Sequence[nn.Module],
    average: AveragedModel,
    optimizers: Sequence[torch.optim.Optimizer],
    step: int,
    seconds: float,
) -> None:
    """Write the state to a temporary file, then rename it."""
    state = {
        "networks": [network.state_dict() for network in networks],
        "average": average.module.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "step": step,
        "seconds": seconds,
    }
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    temporary.replace(path)


def load_state(path: Path, *, mmap: bool = False) -> dict[str, Any]:
    """The state of a run.

    Args:
        path: OUT/state.pt.
        mmap: leave the tensors on disk until they are read.

    Raises:
        WeightsError: the file is damaged.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
        state["step"] + state["seconds"]
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise WeightsError(f"{path} is not the state of a run: remove it, or give another --out") from error
    return state


def restore(
    path: Path,
    networks: Sequence[nn.Module],
    average: AveragedModel,
    optimizers: Sequence[torch.optim.Optimizer],
) -> tuple[int, float]:
    """Restore a run from its file; returns its steps and seconds, 0 and 0 without a file.

    Raises:
        WeightsError: the file is damaged, or of another run.
    """
    if not path.exists():
        return 0, 0.0
    state = load_state(path)
    try:
        for network, saved in zip(networks, state["networks"], strict=True):
            network.load_state_dict(saved)
        average.module.load_state_dict(state["average"])
        average.n_averaged.fill_(state["step"])  # at 0 the average would start again
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
    except (KeyError, RuntimeError, ValueError) as error:
        raise WeightsError(f"{path} is the state of another run: remove it, or give another --out") from error
    return int(state["step"]), float(state["seconds"])


def write_tensors(tensors: Mapping[str, Tensor], path: Path, config: Mapping[str, Any]) -> None:
    """Write weights as safetensors to a temporary file, then rename it.

    Args:
        tensors: by name.
        path: of the file.
        config: the network's shape, stored in the file.
    """
    temporary, metadata = path.with_suffix(".part"), {"config": json.dumps(config)}
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, temporary, metadata)
    temporary.replace(path)
