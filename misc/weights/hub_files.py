"""Files of the model hub's cache: their facts from the hub, and whether they match these facts.

models--MAKER--NET/ snapshots/COMMIT/NAME ─► blobs/HASH    links to files that are named by their hashes
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from .checks import CHUNK, sha256

__all__ = ["HubFile", "cache", "file_of", "hub_folder", "is_intact", "lacking", "remove", "remove_litter", "wanted"]

HOUR = 3600


@dataclass(frozen=True)
class HubFile:
    """A file of a repository: its size, and its SHA-256 or, failing that, git's SHA-1; None if unknown."""

    name: str
    size: int | None = None
    sha256: str = ""
    git: str = ""


def cache() -> Path:
    """The hub's cache."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE).expanduser()


def hub_folder(repository: str, commit: str) -> Path:
    """The folder of a repository's downloaded files."""
    return cache() / f"models--{repository.replace('/', '--')}" / "snapshots" / commit


def is_intact(path: Path, file: HubFile) -> bool:
    """Whether a file exists and matches the hub's facts."""
    if not path.is_file() or file.size not in (None, path.stat().st_size):
        return False
    if file.sha256:
        return sha256(path) == file.sha256
    return not file.git or git_hash(path) == file.git


def git_hash(path: Path) -> str:
    """SHA-1 by which git names a file's content."""
    sha = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            sha.update(chunk)
    return sha.hexdigest()


def file_of(path: Path) -> HubFile:
    """Facts about a file in the hub's cache: its link leads to a file that is named by its hash."""
    name = Path(path.readlink()).name if path.is_symlink() else ""
    if re.fullmatch(r"[0-9a-f]{64}", name):
        return HubFile(path.name, sha256=name)
    return HubFile(path.name, git=name if re.fullmatch(r"[0-9a-f]{40}", name) else "")


def remove(path: Path) -> None:
    """Delete a file of the hub's cache, and the content that its link leads to."""
    content = path.resolve()
    if content.is_relative_to(cache().resolve()):
        content.unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def remove_litter(repository: str) -> None:
    """Delete files left by killed downloads. Files that changed within the last hour may still be in use and stay."""
    for path in (hub_folder(repository, "").parent / "blobs").glob("*.incomplete"):
        with contextlib.suppress(OSError):
            if re.fullmatch(r".+\.[0-9a-f]{8}\.incomplete", path.name) and time.time() - path.stat().st_mtime > HOUR:
                path.unlink()


def wanted(name: str, patterns: Sequence[str]) -> bool:
    """Whether a file matches the patterns; without patterns, every file does."""
    return not patterns or any(fnmatch(name, pattern) for pattern in patterns)


def lacking(patterns: Sequence[str], names: Sequence[str]) -> list[str]:
    """Patterns that no name matches."""
    return [pattern for pattern in patterns if not any(fnmatch(name, pattern) for name in names)]
