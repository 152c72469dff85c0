"""Profiles: which weights each part uses, from where and under which licence. Imports no torch."""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from misc.bits import latents
from misc.bits.latents import LatentModel
from misc.errors import InputError

__all__ = ["Part", "Profile", "load_profile", "profile_names"]


@dataclass(frozen=True)
class Part:
    """One part's weights: a path below misc/checkpoints, and their licence."""

    weights: str
    licence: str

    @property
    def path(self) -> Path:
        return Path(str(resources.files("misc.checkpoints"))) / self.weights


@dataclass(frozen=True)
class Profile:
    """One set of parts."""

    name: str
    description: str
    hyperprior: Part

    @functools.cached_property
    def entropy_model(self) -> LatentModel:
        """The integer entropy model of the pixel stream."""
        return latents.load(self.hyperprior.path)


def profile_names() -> list[str]:
    """Names of the profiles that come with MISC."""
    folder = resources.files("misc.models") / "profiles"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


@functools.cache
def load_profile(name: str = "embedded") -> Profile:
    """The profile of this name.

    Raises:
        InputError: there is none.
    """
    if name not in profile_names():
        raise InputError(f"there is no profile {name!r}; there is {', '.join(profile_names())}")
    text = (resources.files("misc.models") / "profiles" / f"{name}.toml").read_text()
    table = tomllib.loads(text)
    return Profile(name, table["description"], Part(**table["hyperprior"]))
