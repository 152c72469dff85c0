"""Download a profile's weights, repair damaged ones, and convert those that need it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..decoder_profile import HubPart
from ..errors import WeightsError
from . import hub
from .checks import State
from .packages import fetch, pulling

if TYPE_CHECKING:
    from ..profiles import Profile

__all__ = ["pull"]

Progress = Callable[[str, int, int], None]


def pull(profile: Profile, progress: Progress, *, training: bool = False, accept: bool = False) -> list[str]:
    """Download a profile's weights and convert those that need it; sound files are not downloaded again.

    Args:
        progress: called with the name of the current step, the amount done, and the whole amount.
        training: also download weights that only training and evaluation need.
        accept: the user accepts the terms of weights that require it.

    Returns:
        A sentence for each set of optional weights that could not be downloaded.

    Raises:
        WeightsError: weights cannot be downloaded or are not what the profile pins, or terms were not accepted.
        OSError: the disk is full or cannot be written to.
    """
    parts = [each for each in profile.hub_parts() if not each[0].repository.startswith(hub.OWN)]
    if not accept:
        check_terms(profile.name, [part for part, _ in parts])
    left_out = []
    with pulling(lambda: progress("waiting for another misc pull", 0, 1)) as folder:
        for part, optional in parts:
            try:
                hub.fetch(part, lambda done, total, name=part.repository: progress(name, done, total))  # type: ignore[misc]
            except WeightsError as error:
                if not optional:
                    raise
                left_out.append(str(error))
        for package in profile.packages.values():
            if training or package.use == "coding":
                fetch(package, folder, lambda done, total, name=package.package: progress(name, done, total))  # type: ignore[misc]
        derive(profile, folder, progress)
    return left_out


def check_terms(profile: str, parts: Sequence[HubPart]) -> None:
    """Raise WeightsError if missing weights have terms that the user must accept first."""
    for part in parts:
        if part.terms and hub.state_of(part) is State.MISSING:
            raise WeightsError(
                f"the licence of {part.repository} ({part.licence}) must be accepted: read {part.terms}, "
                f"then `misc pull {profile} --accept-licence`"
            )


def derive(profile: Profile, folder: Path, progress: Progress) -> None:
    """Make the large language model's integers from the package that they come from.

    Args:
        folder: working folder.
    """
    from ..models.language_model import integers
    from ..models.language_model.prefixes import SHARES, SHARPNESS

    derived = profile.language_model
    if derived.state(thorough=True) is State.HERE:
        return
    progress(f"quantising {derived.name}", 0, 1)
    arrays = integers.add_prefixes(
        *integers.from_gguf(profile.packages[derived.source].sound_path()), shares=SHARES, sharpness=SHARPNESS
    )
    if integers.digest(arrays) != derived.digest:
        raise WeightsError(f"{derived.name} as made here is not what the profile pins: please report this machine")
    integers.write(arrays, folder / derived.path.name)
    (folder / derived.path.name).replace(derived.path)
    derived.sound_path()
    progress(f"quantising {derived.name}", 1, 1)
