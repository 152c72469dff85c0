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
    """The weights that a run starts from, or None if it starts from random ones.

    Args:
        start: weights that the user named.
        committed: this project's own.
        from_scratch: whether the user wants none.
        holds: what the weights must hold if they are a folder.

    Raises:
        InputError: the user wants both.
        WeightsError: the weights are not there.
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
        kind: frozen dataclass of the recipe; what the file does not say is as its defaults say.
        part: folder below checkpoints/embedded that holds `recipe.toml`.
        path: file to read instead.
        from_scratch: whether what the table `from_scratch` says overrides the rest.

    Raises:
        InputError: the file is missing, is not TOML, or says something that the recipe does not know.
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
    """Whether a value of TOML is of a field's type: int, float, str, bool, or a tuple of these."""
    if get_origin(kind) is tuple:
        parts = get_args(kind)
        return isinstance(value, list) and len(value) == len(parts) and all(map(fits, value, parts))
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is kind
