"""Reading and writing by name, `-` for the standard streams; a file appears whole or not at all."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from ..errors import InputError, LimitError

__all__ = ["MAX_INPUT", "read_bytes", "write_bytes"]

MAX_INPUT = 1 << 30


def read_bytes(name: str) -> bytes:
    """All bytes of a file or of standard input, at most 1 GiB."""
    try:
        if name == "-":
            data = sys.stdin.buffer.read(MAX_INPUT + 1)
        else:
            with open(name, "rb") as file:
                data = file.read(MAX_INPUT + 1)
    except OSError as error:
        raise InputError(f"cannot read {name}: {error.strerror}") from error
    if len(data) > MAX_INPUT:
        raise LimitError(f"{name} has more than {MAX_INPUT} bytes")
    return data


def write_bytes(name: str, data: bytes) -> None:
    """Write to standard output, or to a temporary file beside the target that is then renamed."""
    if name == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    path = Path(name)
    if path.exists() and not path.is_file():  # a device or a pipe cannot be replaced
        path.write_bytes(data)
        return
    try:
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~current_umask()
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.chmod(temporary, mode)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(f"cannot write {name}: {error.strerror}") from error


def current_umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask
