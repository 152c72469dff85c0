"""Reading and writing by name, `-` for the standard streams.

A target is checked before the work begins: it must not be one of the inputs, it must be writable, and an existing file
must be of the kind that the command writes.
"""

from __future__ import annotations

import os
import select
import stat
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..bits.container import MAGIC, MAX_BYTES
from ..errors import InputError, LimitError, UsageError
from .whole_files import remove_litter, write_whole

__all__ = [
    "ANY_FILE",
    "IMAGE_FILE",
    "JSON_FILE",
    "MAX_DESCRIPTION",
    "MAX_FILE",
    "MAX_IMAGE",
    "MAX_MAPS",
    "MEMORY_FILE",
    "MISC_FILE",
    "Kind",
    "check_target",
    "read_bytes",
    "text_bytes",
    "write_bytes",
]

MAX_FILE = MAX_BYTES
MAX_IMAGE = 1 << 29
MAX_MAPS = 1 << 25
MAX_DESCRIPTION = 1 << 20
CHUNK = 1 << 20
HEAD = 64


@dataclass(frozen=True)
class Kind:
    """A kind of file that a command writes and may replace without `--force`.

    Attributes:
        name: for messages.
        begins: whether a file with this beginning is of the kind.
    """

    name: str
    begins: Callable[[bytes], bool]


IMAGE_BEGINNINGS = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"GIF8", b"BM", b"II*\0", b"MM\0*")  # of usual image files
ANY_FILE = Kind("any file", lambda head: True)
IMAGE_FILE = Kind("an image", lambda head: head.startswith(IMAGE_BEGINNINGS) or head[4:8] == b"ftyp")
MISC_FILE = Kind("a .misc file", lambda head: len(head) > 1 and head[0] == MAGIC and head[1] >> 5 == 0)
MEMORY_FILE = Kind("a memory", lambda head: head[8:9] == b"{")
JSON_FILE = Kind("a JSON file", lambda head: head.lstrip()[:1] in (b"{", b""))


def read_bytes(name: str, limit: int) -> bytes:
    """All bytes of a file or of standard input.

    Raises:
        InputError: it cannot be read.
        LimitError: it has more bytes than the limit; at most one byte more is read.
    """
    try:
        if name == "-":
            if sys.stdin is None:
                raise InputError("standard input is closed")
            data = read_at_most(sys.stdin.buffer, limit + 1)
        else:
            with open(name, "rb") as file:
                data = read_at_most(file, limit + 1)
    except (OSError, ValueError) as error:  # ValueError: a name with NUL in it
        raise InputError(f"cannot read {name}: {reason(error)}") from error
    if len(data) > limit:
        raise LimitError(f"{name} has more than {limit} bytes")
    return data


def read_at_most(file: BinaryIO, most: int) -> bytes:
    """The file's bytes, up to a limit; memory grows with the actual size, not with the limit."""
    parts: list[bytes] = []
    while most > 0 and (part := file.read(min(most, CHUNK))):
        parts.append(part)
        most -= len(part)
    return b"".join(parts)


def check_target(name: str, sources: Iterable[str | None], kind: Kind = ANY_FILE, force: bool = False) -> None:
    """Check before the work begins that a result can be written; remove files that killed commands left beside it.

    Args:
        name: of the file to write.
        sources: names of the files that are read, - for standard input, None for those that are not.
        kind: what may be replaced.
        force: replace anything that is a file, and read-only files.

    Raises:
        InputError: it cannot or must not be written.
        UsageError: two of the inputs are standard input.
    """
    sources = list(sources)
    if sources.count("-") > 1:
        raise UsageError("standard input holds one of the inputs, not two: give the other one by its name")
    try:
        if name == "-" and kind is not JSON_FILE and sys.stdout is not None and os.isatty(1):
            raise InputError("standard output is a terminal, which shows no such bytes: name a file, or redirect it")
        there = status(name, "stdout")
        if there is not None and stat.S_ISREG(there.st_mode):
            for source in sources:
                if source is not None and same(status(source, "stdin"), there):
                    raise InputError(f"{name} is the input too: it would be lost")
        if name != "-":
            check_place(name, there, kind, force)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot write {name}: {reason(error)}") from error


def check_place(name: str, there: os.stat_result | None, kind: Kind, force: bool) -> None:
    """The part of `check_target` about an existing file of the target's name."""
    path = Path(os.path.realpath(name))
    if there is not None:
        if stat.S_ISDIR(there.st_mode):
            raise InputError(f"cannot write {name}: it is a folder")
        if stat.S_ISBLK(there.st_mode) or stat.S_ISSOCK(there.st_mode):
            raise InputError(f"cannot write {name}: it is a device")
        if not stat.S_ISREG(there.st_mode):
            return
        if not force and not (there.st_mode & 0o222 and os.access(path, os.W_OK)):
            raise InputError(f"{name} is read-only; --force replaces it")
        if not force and there.st_size and not kind.begins(first_bytes(path)):
            raise InputError(f"{name} is there and is not {kind.name}; --force replaces it")
    if not path.parent.is_dir():
        raise InputError(f"cannot write {name}: there is no folder {path.parent.name}")
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"cannot write {name}: its folder is read-only")
    remove_litter(path.parent)


def write_bytes(name: str, data: bytes) -> None:
    """Write all bytes: to standard output, to a pipe or device, or to a file as a whole, following a symbolic link.

    Raises:
        InputError: it cannot be written.
        BrokenPipeError: the reader of the pipe is gone.
    """
    try:
        if name == "-":
            if sys.stdout is None:
                raise InputError("standard output is closed")
            sys.stdout.flush()
            write_all(sys.stdout.fileno(), data)
            return
        there = status(name, "stdout")
        if there is None or stat.S_ISREG(there.st_mode):
            write_whole(Path(os.path.realpath(name)), data)
            return
        handle = os.open(name, os.O_WRONLY)
        try:
            write_all(handle, data)
        finally:
            os.close(handle)
    except BrokenPipeError:
        raise
    except (OSError, ValueError) as error:
        where = "to standard output" if name == "-" else name
        raise InputError(f"cannot write {where}: {reason(error)}") from error


def text_bytes(text: str) -> bytes:
    r"""The text in UTF-8; of a file's name that is not, each odd byte is written as \udcff, which JSON reads again."""
    return text.encode(errors="backslashreplace")


def write_all(handle: int, data: bytes) -> None:
    """Write until nothing is left: one call to a pipe writes only as much as it has room for."""
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(handle, rest) :]
        except BlockingIOError:
            select.select([], [handle], [])


def status(name: str, stream: str) -> os.stat_result | None:
    """The status of the file at a name, or of `stdin` or `stdout` for `-`; None if there is none."""
    try:
        if name != "-":
            return os.stat(name)
        return os.fstat(0 if stream == "stdin" else 1)
    except FileNotFoundError:
        return None


def same(a: os.stat_result | None, b: os.stat_result) -> bool:
    """Whether both are one file, by whatever names."""
    return a is not None and os.path.samestat(a, b)


def first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD)


def reason(error: OSError | ValueError) -> str:
    """The system's reason why something cannot be read or written."""
    return (isinstance(error, OSError) and error.strerror) or str(error)
