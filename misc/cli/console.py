"""Output of the commands for people and programs, the standard streams, and progress.

All text for people goes through `printable`, so a file, a server or a file's name cannot send control codes to the
terminal.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from ..errors import InputError

__all__ = [
    "Input",
    "Json",
    "ProfileOption",
    "json_text",
    "open_standard_streams",
    "print_line",
    "printable",
    "refuse_mixed_output",
    "report",
    "say",
    "stepping",
    "working",
]

Input = Annotated[str, typer.Argument(metavar="IN", help="a file, or - for standard input")]
ProfileOption = Annotated[str, typer.Option("--profile", help="the set of models: a name, or a TOML file of your own")]
Json = Annotated[bool, typer.Option("--json", help="print the result as JSON on standard output")]

COMMANDING = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")  # Unicode categories without visible characters
JOINERS = "\u200c\u200d"  # needed between letters of some scripts, and between emoji


def printable(text: str) -> str:
    r"""The text as one line without control or format characters: they are written as \n, \x1b or \u202e."""
    return "".join(escape(c) if is_commanding(c) else c for c in text)


def is_commanding(character: str) -> bool:
    return unicodedata.category(character) in COMMANDING and character not in JOINERS


def escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


def json_text(value: Any, *, indent: int | None = None, ascii_only: bool = False) -> str:
    r"""A value as JSON; what `printable` would escape is escaped as JSON does it, \u001b."""
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    return "".join(json.dumps(c)[1:-1] if c != "\n" and is_commanding(c) else c for c in text)


def refuse_mixed_output(target: str, as_json: bool) -> None:
    """Refuse two results on one standard output, whatever its name."""
    if as_json and (target == "-" or is_standard_output(target)):
        raise typer.BadParameter(f"--json and the output {printable(target)} would both write to standard output")


def is_standard_output(name: str) -> bool:
    """Whether standard output goes to the file or pipe of a name; a device, such as the null device, keeps no order."""
    try:
        there = os.stat(name)
        return not stat.S_ISCHR(there.st_mode) and os.path.samestat(there, os.fstat(1))
    except (OSError, ValueError):
        return False


def report(facts: Any, as_json: bool, *lines: str, to_stdout: bool = False) -> None:
    """Facts as JSON on standard output, or the lines for people."""
    if as_json:
        unicode = sys.stdout is not None and (sys.stdout.encoding or "").lower().startswith("utf")
        print_line(json_text(facts, ascii_only=not unicode))
        return
    for line in lines:
        if to_stdout:
            print_line(printable(line))
        else:
            say(line)


def print_line(line: str) -> None:
    """A result on standard output.

    Raises:
        InputError: it is closed.
    """
    if sys.stdout is None:
        raise InputError("standard output is closed")
    print(line)


def say(line: str) -> None:
    """Print a line on standard error; a closed stream is not an error."""
    with contextlib.suppress(OSError):
        print(f"misc: {printable(line)}", file=sys.stderr)


def open_standard_streams() -> None:
    """Replace each closed standard stream by the null device, so that a file opened later does not get its number.

    `sys.stdin` and `sys.stdout` stay None in this case, which shows that they cannot be used. Characters that a
    stream's encoding lacks are written as escapes.
    """
    for handle in range(3):
        try:
            os.fstat(handle)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free handle, which is this one
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - as long as the process lives
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def working(what: str) -> Iterator[None]:
    """A spinner on standard error while something runs, when a person is watching."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(what):
        yield


@contextmanager
def stepping(what: str) -> Iterator[Callable[[int, int], None]]:
    """Progress on standard error while something runs: a bar when a person is watching, else a line a step.

    Yields:
        a function to be called with the steps done and all steps.
    """
    if not sys.stderr.isatty():
        yield lambda done, total: say(f"{what}: step {done} of {total}")
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(what, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)
