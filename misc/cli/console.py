"""What the commands share: standard streams, reports, the options that all have."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

__all__ = ["Input", "Json", "ProfileOption", "refuse_mixed_output", "report", "say", "stepping", "working"]

Input = Annotated[str, typer.Argument(metavar="IN", help="a file, or - for standard input")]
ProfileOption = Annotated[str, typer.Option("--profile", help="the set of models")]
Json = Annotated[bool, typer.Option("--json", help="print the result as JSON on standard output")]


def refuse_mixed_output(target: str, as_json: bool) -> None:
    if target == "-" and as_json:
        raise typer.BadParameter("--json and the output - would both write to standard output")


def report(facts: dict[str, Any], as_json: bool, line: str, *, to_stdout: bool = False) -> None:
    """Facts as JSON on standard output, or the line for people."""
    if as_json:
        print(json.dumps(facts, ensure_ascii=False))
    elif to_stdout:
        print(line)
    else:
        say(line)


def say(line: str) -> None:
    print(f"misc: {line}", file=sys.stderr)


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
