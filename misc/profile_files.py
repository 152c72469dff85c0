"""The TOML files of profiles: those that come with MISC, and a user's own file, which changes one of them.

base = "embedded"          # own.toml: values that it does not set are those of the base

[cascade]
memory = "own.safetensors" # made by `misc memory build`; beside own.toml
"""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

from .errors import InputError, UsageError

__all__ = ["ENDING", "profile_names", "read_own", "read_table"]

ENDING = ".toml"
FILES = {  # keys that name a file of weights, by table
    "hyperprior": ("weights",),
    "small_language_model": ("weights",),
    "words": ("weights",),
    "describer": ("weights",),
    "locator": ("weights",),
    "detector": ("weights",),
    "subjects": ("weights",),
    "cascade": ("upsampler", "memory"),
}
TABLES = {"base", "description", "language_model", "packages", "decoder", "hub", *FILES}

Table = dict[str, Any]


def profile_names() -> list[str]:
    """Names of the profiles that come with MISC."""
    folder = resources.files("misc.models") / "profiles"
    return sorted(entry.name.removesuffix(ENDING) for entry in folder.iterdir() if entry.name.endswith(ENDING))


def read_table(name: str) -> Table:
    """A profile that comes with MISC, with the values of its base for all that it does not set.

    Raises:
        UsageError: there is none.
    """
    if name not in profile_names():
        raise UsageError(
            f"there is no profile {name!r}; there is {', '.join(profile_names())}, or a TOML file of your own"
        )
    table = tomllib.loads((resources.files("misc.models") / "profiles" / f"{name}{ENDING}").read_text("utf-8"))
    return merge(read_table(table["base"]), table) if "base" in table else table


def read_own(path: Path) -> Table:
    """A user's own profile over its base. Its file names are relative to it, those of the base to misc/checkpoints.

    Raises:
        InputError: the file is missing, is not TOML, names no base, or says what no profile can say.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"the profile {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"the profile {path} is not TOML: {error}") from error
    if not isinstance(table.get("base"), str):
        raise InputError(f'the profile {path} must name a base, such as base = "embedded"')
    try:
        base = read_table(table["base"])
    except UsageError as error:  # the option is valid, but the content of its file is not
        raise InputError(f"the profile {path} has a base that cannot be: {error}") from error
    wrong = next((key for key in table if key not in TABLES), "") or wrong_setting(base, table)
    if wrong:
        raise InputError(f"the profile {path} has a setting that no profile can have: {wrong}")
    for part, keys in FILES.items():
        own = table.get(part)
        if isinstance(own, dict):
            table[part] = located(own, keys, path.absolute().parent)
    return {"description": f"{table['base']}, changed by {path.name}"} | merge(base, table)


def wrong_setting(base: Table, changes: Table) -> str:
    """The first setting that is of another kind than the base's, such as a number for a name; empty if none is."""
    for name, value in changes.items():
        known = base.get(name)
        if isinstance(value, dict) and isinstance(known, dict):
            inner = "" if name == "scheduler" else wrong_setting(known, value)
            if inner:
                return f"{name}.{inner}"
        elif known is not None and kind_of(value) is not kind_of(known):
            return f"{name} = {value!r}"
    return ""


def kind_of(value: object) -> type:
    return float if type(value) is int else type(value)


def located(table: Table, keys: tuple[str, ...], folder: Path) -> Table:
    """A table with absolute paths for files beside the profile, without what the base says of replaced files.

    A memory that is in neither place is missing beside the profile: files must not be taken for those of MISC's own.
    """
    changed = dict(table)
    ours = Path(str(resources.files("misc.checkpoints")))
    for key in keys:
        name = changed.get(key)
        if not isinstance(name, str):
            continue
        if (folder / name).is_file() or (key == "memory" and name and not (ours / name).is_file()):
            changed[key] = str(folder / name)
    if "weights" in keys and "weights" in table:
        changed.setdefault("sha256", "")
    return changed


def merge(base: Table, changes: Table) -> Table:
    """A table merged over that of a base, with nested tables. A scheduler is replaced as a whole."""
    merged = base | changes
    for name, value in changes.items():
        if isinstance(value, dict) and isinstance(base.get(name), dict) and name != "scheduler":
            merged[name] = merge(base[name], value)
    return merged
