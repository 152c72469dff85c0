"""Files that appear complete or not at all.

    bytes ─► .misc-XXXXXXXX.part beside the target, locked ─► fsync ─► renamed to the target

The lock ends with the process that writes. A part without a lock was therefore left by a killed process, and the next
command that writes into the folder removes it.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
from pathlib import Path

__all__ = ["remove_litter", "write_whole"]

PREFIX, SUFFIX = ".misc-", ".part"


def write_whole(path: Path, data: bytes) -> None:
    """Create or replace a regular file; a replaced file keeps its permissions.

    Raises:
        OSError: the folder or the disk does not accept it; an existing file is then unchanged.
    """
    mode = stat.S_IMODE(path.stat().st_mode) & 0o777 if path.exists() else 0o666 & ~current_umask()
    handle, part = locked_part(path.parent)
    with os.fdopen(handle, "wb") as file:
        try:
            file.write(data)
            file.flush()
            os.fsync(handle)
            os.chmod(part, mode)
            os.replace(part, path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def remove_litter(folder: Path) -> None:
    """Remove the parts left by killed processes; a part that cannot be removed stays."""
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(folder)):
            if entry.name.startswith(PREFIX) and entry.name.endswith(SUFFIX) and entry.is_file(follow_symlinks=False):
                remove_unlocked(Path(entry.path))


def remove_unlocked(part: Path) -> None:
    with contextlib.suppress(OSError):
        handle = os.open(part, os.O_RDWR)
        try:
            if lock(handle) and is_at(handle, part):
                part.unlink()
        finally:
            os.close(handle)


def locked_part(folder: Path) -> tuple[int, Path]:
    """A new part of a file and its handle, which holds the lock."""
    while True:
        handle, name = tempfile.mkstemp(prefix=PREFIX, suffix=SUFFIX, dir=folder)
        lock(handle)
        if is_at(handle, Path(name)):  # otherwise another command removed it before it was locked
            return handle, Path(name)
        os.close(handle)


def is_at(handle: int, path: Path) -> bool:
    """Whether the open file is still the one of this name."""
    try:
        return os.path.samestat(os.fstat(handle), os.lstat(path))
    except FileNotFoundError:
        return False


if sys.platform == "win32":

    def lock(handle: int) -> bool:
        """Nothing to do: Windows does not remove open files."""
        return True

else:
    import fcntl

    def lock(handle: int) -> bool:
        """Lock an open file until it is closed; False if another process has it, or the file system has no locks."""
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True


def current_umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask
