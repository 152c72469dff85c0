"""Weights in torch's own files, which are pickles: tensors are read, anything else is refused."""

from __future__ import annotations

import contextlib
import pickle
from pathlib import Path
from typing import Any

import torch

from ...errors import WeightsError
from ...weights.safe import refusing

__all__ = ["load_pickle", "refusal"]


def load_pickle(path: Path) -> dict[str, Any]:
    """Tensors by name; nothing in the file is executed.

    Raises:
        WeightsError: the file is missing or damaged, or it wants more than tensors, by which a pickle could run code.
    """
    with refusing(path, "this part"):
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise refusal(path) from error
        if not isinstance(state, dict):
            raise TypeError("not a table of tensors")
        return state


def refusal(path: Path) -> WeightsError:
    """The error for a pickle that asks for more than tensors; it lists the names, and nothing of them is called."""
    names = list[str]()
    with contextlib.suppress(Exception):  # a damaged file, or torch's old format
        names = sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    if names:
        return WeightsError(f"{path.name} is a pickle that wants {', '.join(names)[:100]}, more than tensors: refused")
    return WeightsError(f"{path.name} is damaged, or a pickle that wants more than tensors: refused")
