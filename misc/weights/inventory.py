"""List all weights of a profile: purpose, source, size, and whether they are present and sound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import hub
from .checks import State
from .hub_client import look_up
from .hub_faults import Refused

if TYPE_CHECKING:
    from ..profiles import Profile

__all__ = ["Entry", "list_weights"]


@dataclass(frozen=True)
class Entry:
    """One set of weights.

    Attributes:
        source: `comes along` with MISC, `package` of the Python registry, `made` from a package, or `hub`.
        bytes: size of the download or on disk; None if unknown.
        needed: for encoding and decoding.
    """

    name: str
    source: str
    purpose: str
    licence: str
    bytes: int | None
    needed: bool
    state: State

    @property
    def line(self) -> str:
        """The entry for people."""
        size = "" if self.bytes is None else f"{self.bytes / 1e6:.1f} MB, "
        note = "" if self.needed else ", not needed for coding"
        return f"{self.state:8}{self.name}: {size}{self.licence}, {self.purpose}{note}"

    @property
    def facts(self) -> dict[str, Any]:
        """The entry for JSON."""
        return vars(self) | {"state": str(self.state), "present": self.state is State.HERE}


def list_weights(profile: Profile, *, thorough: bool = False, ask: bool = False) -> list[Entry]:
    """All weights of a profile, those that come with MISC first.

    Args:
        thorough: read all of every file, whatever its stamp says.
        ask: ask the model hub for the size of missing files.
    """
    entries = []
    for name in ("hyperprior", "small_language_model", "words", "describer", "locator", "detector", "subjects"):
        part = getattr(profile, name)
        if part is not None:
            size = part.path.stat().st_size if part.path.is_file() else None
            state = part.state(thorough=thorough)
            entries.append(Entry(part.weights, "comes along", name.replace("_", " "), part.licence, size, True, state))
    for package in profile.packages.values():
        name, needed = f"{package.package}=={package.version}", package.use == "coding"
        state = package.state(thorough=thorough)
        entries.append(Entry(name, "package", package.purpose, package.licence, package.bytes, needed, state))
    made = profile.language_model
    source = profile.packages[made.source]
    purpose = f"text: made from {source.package}"
    entries.append(Entry(made.name, "made", purpose, source.licence, None, True, made.state(thorough=thorough)))
    for part, optional in profile.hub_parts():
        state = hub.state_of(part, thorough=thorough)
        source_name = "comes along" if part.repository.startswith(hub.OWN) else "hub"
        size = hub.size_of(part)
        if size is None and ask and source_name == "hub":
            try:
                size = look_up(part.repository, part.revision, part.files).bytes
            except Refused as refused:
                ask = not refused.unreachable
        entries.append(Entry(part.repository, source_name, part.purpose, part.licence, size, not optional, state))
    return entries
