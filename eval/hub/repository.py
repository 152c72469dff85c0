"""Repositories of the local hub: folders, and the hub's facts about their files."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["WEIGHTS", "Repository", "entries", "headers_of", "sha256_of"]

WEIGHTS = (".safetensors", ".bin", ".pth", ".gguf")  # that the hub keeps in large-file storage


@dataclass(frozen=True)
class Repository:
    """A repository of the hub.

    Attributes:
        folder: whose files it has.
        commit: 40 hexadecimal digits.
        token: without which its files are not given, if any.
        listed: files that the hub lists even if the folder lacks them; None for the files of the folder.
    """

    folder: Path
    commit: str
    token: str = ""
    listed: tuple[str, ...] | None = None

    def files(self) -> dict[str, Path]:
        """Paths by name."""
        found = {
            path.relative_to(self.folder).as_posix(): path for path in sorted(self.folder.rglob("*")) if path.is_file()
        }
        return found if self.listed is None else {name: found.get(name, self.folder / name) for name in self.listed}


def entries(repository: Repository) -> list[dict[str, Any]]:
    """The hub's facts about all files: the SHA-256 of weights, git's hash of other files.

    A real hub's `oid` of weights is the hash of a pointer; here it is the first part of the SHA-256.
    """
    rows = []
    for name, path in repository.files().items():
        size = path.stat().st_size if path.is_file() else 0
        row: dict[str, Any] = {"type": "file", "path": name, "size": size}
        row["oid"] = (sha256_of if name.endswith(WEIGHTS) else git_hash)(path)[:40]
        if name.endswith(WEIGHTS):
            row["lfs"] = {"oid": sha256_of(path), "size": size, "pointerSize": 135}
        rows.append(row)
    return rows


def headers_of(repository: Repository, name: str) -> dict[str, str]:
    """The commit, checksum and size of a file."""
    path = repository.files()[name]
    tag = sha256_of(path) if name.endswith(WEIGHTS) else git_hash(path)
    head = {"X-Repo-Commit": repository.commit, "ETag": f'"{tag}"', "X-Linked-Size": str(path.stat().st_size)}
    return head | ({"X-Linked-ETag": f'"{tag}"'} if name.endswith(WEIGHTS) else {})


@functools.cache
def hashed(path: Path, size: int, changed: int, prefix: str | None) -> str:
    """SHA-256 of a file, or SHA-1 with git's prefix; kept as long as the file's size and time of change stay."""
    known = hashlib.sha256() if prefix is None else hashlib.sha1(prefix.encode())
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            known.update(chunk)
    return known.hexdigest()


def sha256_of(path: Path) -> str:
    """SHA-256 of a file; zeros if it is not there."""
    if not path.is_file():
        return "0" * 64
    return hashed(path, path.stat().st_size, path.stat().st_mtime_ns, None)


def git_hash(path: Path) -> str:
    if not path.is_file():
        return "0" * 40
    size = path.stat().st_size
    return hashed(path, size, path.stat().st_mtime_ns, f"blob {size}\0")
