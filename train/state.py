"""A training run's state on disk, so that every trainer goes on where it was stopped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

__all__ = ["restore", "save"]

Optimizers = Sequence[torch.optim.Optimizer]


def save(
    path: Path, model: nn.Module, average: AveragedModel, optimizers: Optimizers, step: int, seconds: float, **more: Any
) -> None:
    """Write everything, then rename: a kill at any moment leaves the old or the new state."""
    state = {
        "model": model.state_dict(),
        "average": average.module.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "step": step,
        "seconds": seconds,
    }
    temporary = path.with_suffix(".tmp")
    torch.save(state | more, temporary)
    temporary.replace(path)


def restore(path: Path, model: nn.Module, average: AveragedModel, optimizers: Optimizers) -> tuple[int, float]:
    """Steps and seconds of the run whose state is in the file, which fills the rest; 0 and 0 if there is none."""
    if not path.exists():
        return 0, 0.0
    state = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(state["model"])
    average.module.load_state_dict(state["average"])
    average.n_averaged.fill_(state["step"])  # at 0 the average would begin anew
    for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    return int(state["step"]), float(state["seconds"])
