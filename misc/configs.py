"""Shapes of networks: JSON files in models/configs, read here and nowhere else. Imports no torch.

    models/configs/NAME.json ─► read_config ─► build(kind, ...) ─► a network with random weights

A file holds the arguments of a network's class by name. Some weights store their own shape; they need no such file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from .errors import InputError

__all__ = ["build", "config_names", "read_config"]

ENDING = ".json"
N = TypeVar("N")


def config_names() -> list[str]:
    """Names of the shapes that come with MISC."""
    folder = resources.files("misc.models") / "configs"
    return sorted(entry.name.removesuffix(ENDING) for entry in folder.iterdir() if entry.name.endswith(ENDING))


def read_config(name: str) -> dict[str, Any]:
    """Arguments of a network's class.

    Args:
        name: of a shape that comes with MISC, such as `hyperprior`, or the path of another file that ends in `.json`.

    Raises:
        InputError: there is none, or it is not a table in JSON.
    """
    if name.endswith(ENDING):
        file: Any = Path(name)
    elif name in config_names():
        file = resources.files("misc.models") / "configs" / (name + ENDING)
    else:
        raise InputError(f"there is no config {name!r}; there is {', '.join(config_names())}")
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"the config {name} cannot be read") from error
    except ValueError as error:
        raise InputError(f"the config {name} is not JSON: {error}") from error
    if not isinstance(config, dict):
        raise InputError(f"the config {name} is not a table")
    return config


def build(kind: Callable[..., N], config: str | Mapping[str, Any]) -> N:
    """The network that a class or a function builds from a shape.

    Args:
        kind: the class or function; it takes the arguments in the shape.
        config: the shape, or a name or path for `read_config`.

    Raises:
        InputError: the shape cannot be read, or belongs to another network.
    """
    table = read_config(config) if isinstance(config, str) else config
    try:
        return kind(**table)
    except (TypeError, ValueError, KeyError, RuntimeError) as error:
        name = config if isinstance(config, str) else "given"
        raise InputError(f"the config {name} is of another network: {error}") from error
