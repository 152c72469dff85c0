"""`misc doctor`: what is installed, which weights are here, missing or damaged, and what to do."""

from __future__ import annotations

import platform
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from .console import Json, report, working

if TYPE_CHECKING:
    from ..weights.inventory import Entry

__all__ = ["doctor"]

PACKAGES = ("misc-codec", "torch", "numpy", "constriction", "safetensors", "diffusers", "transformers", "Pillow")


def doctor(
    profile: Annotated[
        str, typer.Argument(metavar="[PROFILE]", help="the set of models: a name, or a TOML file of your own")
    ] = "embedded",
    as_json: Json = False,
) -> None:
    """Check that everything that a profile needs is installed and sound; all weights files are read in full.

    Ends with exit code 4 if something that encoding and decoding need is missing or damaged.
    """
    from ..profiles import load_profile
    from ..weights.checks import State, cache_folder
    from ..weights.inventory import list_weights

    chosen = load_profile(profile)
    with working("reading all weights"):
        entries = list_weights(chosen, thorough=True)
    versions = {"python": platform.python_version()} | {name: version_of(name) for name in PACKAGES}
    healthy = all(each.state is State.HERE for each in entries if each.needed)
    todo = advice(profile, entries)
    lines = [
        *(f"{name} {version}" for name, version in versions.items()),
        f"weights of profile {profile}, fetched ones in {cache_folder()}:",
        *(each.line for each in entries),
        *todo,
    ]
    facts = {
        "profile": profile,
        "healthy": healthy,
        "versions": versions,
        "cache": str(cache_folder()),
        "weights": [each.facts for each in entries],
        "advice": todo,
    }
    report(facts, as_json, *lines, to_stdout=True)
    if not healthy:
        sys.exit(4)


def version_of(name: str) -> str:
    """The version of an installed package."""
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def advice(profile: str, entries: list[Entry]) -> list[str]:
    """Advice about missing or damaged weights."""
    from ..weights.checks import State

    wrong = [each for each in entries if each.needed and each.state is not State.HERE]
    todo = []
    if any(each.source != "comes along" for each in wrong):
        todo.append(f"`misc pull {profile}` fetches what is missing and repairs what is damaged")
    if any(each.source == "comes along" for each in wrong):
        todo.append("weights that come along are not sound: please install misc-codec again")
    return todo or ["everything is here and sound"]
