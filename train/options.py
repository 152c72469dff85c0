"""Options that all trainers share, and their recipes."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import typer

from ..errors import InputError, WeightsError

__all__ = [
    "Data",
    "FromScratch",
    "Minutes",
    "Out",
    "ProfileName",
    "RecipeFile",
    "Seed",
    "Start",
    "Steps",
    "Workers",
    "choose_start",
    "read_recipe",
]

SCRATCH = "from_scratch"
R = TypeVar("R")

Data = Annotated[list[Path], typer.Option(help="shards (.tar), images, or folders of them; repeatable")]
Out = Annotated[Path, typer.Option(help="folder for state, weights and TensorBoard logs")]
Start = Annotated[Path | None, typer.Option(help="weights to start from instead of the committed ones")]
FromScratch = Annotated[bool, typer.Option("--from-scratch", help="start from random weights")]
RecipeFile = Annotated[Path | None, typer.Option("--recipe", help="TOML file to read instead of the committed recipe")]
Minutes = Annotated[float, typer.Option(help="length of the run in minutes, all sessions together")]
Steps = Annotated[int, typer.Option(help="number of steps after which the run ends")]
Seed = Annotated[int, typer.Option(help="seed of the run")]
Workers = Annotated[int, typer.Option(help="number of processes that read photos")]
ProfileName = Annotated[str, typer.Option(help="profile whose weights are used")]


def choose_start(start: Path | None, committed: Path, *, from_scratch: bool, holds: str = "") -> Path | None:
    """The initial weights of a run, or None for random ones.

    Args:
        start: weights that the user named.
        committed: the weights in the repository.
        from_scratch: whether the user wants random weights.
        holds: a file or folder that the weights must contain if they are a folder.

    Raises:
        InputError: the user asks for both.
        WeightsError: the weights are missing.
    """
    if from_scratch:
        if start is not None:
            raise InputError("--start and --from-scratch exclude each other")
        return None
    weights = start or committed
    if not (weights / holds).exists():
        hint = "" if start else ": give --start or --from-scratch"
        raise WeightsError(f"there are no weights at {weights}{hint}")
    return weights


def read_recipe(kind: type[R], part: str, path: Path | None = None, *, from_scratch: bool = False) -> R:
    """A trainer's recipe: the committed one of a part, or that of a file.

    Args:
        kind: frozen dataclass of the recipe; values that the file does not set have its defaults.
        part: folder below checkpoints/embedded with `recipe.toml`.
        path: file to read instead.
        from_scratch: whether the values of the table `from_scratch` override the others.

    Raises:
        InputError: the file is missing, is not TOML, or sets an unknown value.
    """
    source = path or Path(str(resources.files("misc.checkpoints"))) / "embedded" / part / "recipe.toml"
    try:
        table = tomllib.loads(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"the recipe {source} cannot be read") from error
    except ValueError as error:
        raise InputError(f"the recipe {source} is not TOML: {error}") from error
    override = table.pop(SCRATCH, {})
    if not isinstance(override, dict):
        raise InputError(f"the recipe {source}: {SCRATCH} is not a table")
    kinds = get_type_hints(kind)
    for name, value in (table | override).items():
        if name not in kinds or not fits(value, kinds[name]):
            raise InputError(f"the recipe {source} cannot say {name} = {value!r}")
    values = table | (override if from_scratch else {})
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


def fits(value: Any, kind: Any) -> bool:
    """Whether a TOML value has a field's type: int, float, str, bool, or a tuple of these."""
    if get_origin(kind) is tuple:
        parts = get_args(kind)
        return isinstance(value, list) and len(value) == len(parts) and all(map(fits, value, parts))
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is kind
