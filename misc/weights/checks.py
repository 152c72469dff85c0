"""Check whether a weights file is sound: a quick check at each loading, a full check if it may have changed.

    file ─► size, time of change, samples ─┬─ as in its stamp ──► sound
                                           └─ else: its digest ──► as pinned: sound, a new stamp; else damaged

A stamp records a full check of a file. Stamps are kept in MISC's cache, so that folders of weights are not changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import WeightsError

__all__ = ["State", "cache_folder", "digest", "remedy", "require", "sha256", "state_of"]

CHUNK = 1 << 20
SAMPLES, SAMPLE = 64, 4096  # the quick check reads this many blocks, spread evenly, of this many bytes


class State(StrEnum):
    """The state of a file."""

    HERE = "here"
    MISSING = "missing"
    DAMAGED = "damaged"


def cache_folder() -> Path:
    """The user's cache folder for MISC."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "misc-codec"


def sha256(path: Path) -> str:
    """SHA-256 of a file."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            sha.update(chunk)
    return sha.hexdigest()


def digest(arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    """SHA-256 of names, types, shapes and bytes of all arrays, in the order of their names."""
    sha = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        sha.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()


def state_of(path: Path, pinned: str, *, whole: Callable[[Path], str] = sha256, thorough: bool = False) -> State:
    """Whether a file exists and is sound.

    Args:
        pinned: the digest that `whole` must return.
        whole: computes the file's digest; a WeightsError or OSError counts as damage.
        thorough: read all of it, whatever its stamp says.
    """
    if not path.is_file():
        return State.MISSING
    stamp = stamp_of(path)
    with contextlib.suppress(OSError):
        facts = facts_of(path, pinned)
        if not thorough and read_stamp(stamp) == facts:
            return State.HERE
        with contextlib.suppress(WeightsError):
            if whole(path) == pinned:
                write_stamp(stamp, facts)
                return State.HERE
    with contextlib.suppress(OSError):
        stamp.unlink(missing_ok=True)
    return State.DAMAGED


def require(path: Path, pinned: str, *, whole: Callable[[Path], str] = sha256) -> Path:
    """The path of a file, after checking that it exists and is sound.

    Raises:
        WeightsError: it is missing or damaged.
    """
    state = state_of(path, pinned, whole=whole)
    if state is State.DAMAGED and not os.access(path, os.R_OK):
        raise WeightsError(f"the weights {path} cannot be read: permission denied")
    if state is not State.HERE:
        raise WeightsError(f"the weights {path.name} are {state}: {remedy(path, state)}")
    return path


def remedy(path: Path, state: State) -> str:
    """Advice for the user about a file that is missing or damaged."""
    if path.is_relative_to(str(resources.files("misc.checkpoints"))):
        return "please install misc-codec again"
    if not path.is_relative_to(cache_folder()):
        return f"the file is {path}"
    return "`misc pull` fetches them" if state is State.MISSING else "`misc pull` repairs them"


def facts_of(path: Path, pinned: str) -> dict[str, Any]:
    """The facts in a stamp: if one of them has changed, the whole file is checked."""
    stat = path.stat()
    sha = hashlib.sha256()
    with path.open("rb") as file:
        for number in range(SAMPLES):
            file.seek(max(0, stat.st_size - SAMPLE) * number // (SAMPLES - 1))
            sha.update(file.read(SAMPLE))
    return {
        "path": str(path),
        "pinned": pinned,
        "bytes": stat.st_size,
        "changed": stat.st_mtime_ns,
        "samples": sha.hexdigest(),
    }


def stamp_of(path: Path) -> Path:
    """Where a file's stamp is."""
    name = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:16]
    return cache_folder() / "checked" / f"{path.name}-{name}.json"


def read_stamp(stamp: Path) -> object:
    """A stamp's facts; None if there is no stamp or it is incomplete."""
    with contextlib.suppress(OSError, ValueError):
        return json.loads(stamp.read_text("utf-8"))
    return None


def write_stamp(stamp: Path, facts: dict[str, Any]) -> None:
    """Record that a file was checked; if the stamp cannot be written, the whole file is checked the next time."""
    with contextlib.suppress(OSError):
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.write_text(json.dumps(facts) + "\n")
