"""Read weights: any fault of a file becomes one WeightsError with one sentence. Imports no torch.

with refusing(path, "the locator"):
    weights = load(path, framework="pt")
    network.load_state_dict(weights.tensors)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from safetensors import safe_open

from ..errors import MiscError, WeightsError
from .checks import State, remedy

__all__ = ["Weights", "load", "refusing"]


@dataclass(frozen=True)
class Weights:
    """Content of a safetensors file: tensors by name, and metadata texts by name."""

    tensors: dict[str, Any]
    metadata: dict[str, str]


@contextmanager
def refusing(path: Path, what: str) -> Iterator[None]:
    """A block that reads a file of weights and fills a network from it.

    Args:
        what: the expected content, for the sentence.

    Raises:
        WeightsError: for any error in the block; MISC's own errors pass unchanged.
    """
    try:
        yield
    except (MiscError, MemoryError):
        raise
    except FileNotFoundError as error:
        where = remedy(path, State.MISSING)
        raise WeightsError(f"the weights {path.name} of {what} are missing: {where}") from error
    except PermissionError as error:
        raise WeightsError(f"the weights {path.name} of {what} cannot be read: {error.strerror}") from error
    except Exception as error:  # readers and networks raise a dozen kinds: SafetensorError, DecodeError, KeyError ...
        where = remedy(path, State.DAMAGED)
        raise WeightsError(f"the weights {path.name} are damaged or not those of {what}: {where}") from error


def load(path: Path, framework: Literal["numpy", "pt"] = "numpy", prefix: str = "") -> Weights:
    """Tensors of a safetensors file; to be called inside `refusing`.

    Args:
        framework: numpy arrays, or torch tensors on the CPU.
        prefix: read only tensors whose names begin with it; names are returned without it.
    """
    with safe_open(path, framework=framework) as file:
        names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
        tensors = {name.removeprefix(prefix): file.get_tensor(name) for name in names}
        return Weights(tensors, file.metadata() or {})
