"""The command line: `misc encode`, `decode`, `info`, `verify`, `roundtrip`, `edit`, `describe`, `pull`, `doctor`,
`text`, `memory`, `batch`, `eval`, `web`.

Results go to files and standard output, everything else to standard error. Exit codes: 0 done, 1 failed, 2 usage,
3 corrupt file, or beyond a limit, 4 missing or other model, 130 interrupted.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from ..errors import InputError, MiscError
from .batch import app as batch_app
from .console import open_standard_streams, say
from .decode import decode
from .describe import describe
from .doctor import doctor
from .edit import edit
from .encode import encode
from .eval import app as eval_app
from .info import info, verify
from .memory import app as memory_app
from .pull import pull
from .roundtrip import roundtrip
from .text import app as text_app
from .web import web

__all__ = ["app", "run", "run_alone"]

INTERRUPTED = 130

app = typer.Typer(
    name="misc",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def print_version(wanted: bool) -> None:
    """Print the version and exit, if it is wanted."""
    if wanted:
        from importlib import metadata

        typer.echo(f"misc {metadata.version('misc-codec')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """An image codec for ultra-low bitrates: text, regions and pixels in one small file."""


app.add_typer(batch_app)
app.add_typer(eval_app)
app.add_typer(text_app)
app.add_typer(memory_app)
for command in (encode, decode, roundtrip, describe, info, verify, edit, pull, doctor, web):
    app.command()(command)


def run_alone(command: Callable[..., None]) -> None:
    """Run a function as a command of its own, as `python -m misc.eval.speed` does, and exit like `run`."""
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    alone.command()(command)
    run(alone)


def run(program: Callable[[], object] = app) -> None:
    """Run the command line and exit: every expected failure is one sentence and an exit code."""
    open_standard_streams()
    atexit.register(end_at_once_when_interrupted)
    code = exit_code_of(find_folder) or exit_code_of(program)
    code = exit_code_of(flush) or code
    gc.freeze()  # otherwise a last collection at exit visits all of torch's objects, which takes 0.3 s
    sys.exit(code)


def find_folder() -> None:
    """Raise InputError if the current folder has been deleted: torch's libraries end the program there."""
    try:
        Path.cwd()
    except OSError as error:
        raise InputError("the current folder is not there any more: go to another one") from error


def exit_code_of(step: Callable[[], object]) -> int:
    """The exit code of a step; prints its error."""
    try:
        step()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader is gone, so no message is needed
        return 1
    except (MiscError, OSError, MemoryError) as error:
        say(sentence(error))
        return error.exit_code if isinstance(error, MiscError) else 1
    except RuntimeError as error:
        if not is_of_memory(error):
            raise
        say(sentence(MemoryError()))
        return 1
    return 0


def is_of_memory(error: RuntimeError) -> bool:
    """Whether torch could not get enough memory, which is no MemoryError."""
    return any(words in str(error) for words in ("can't allocate memory", "not enough memory", "out of memory"))


def sentence(error: MiscError | OSError | MemoryError) -> str:
    """A failure as one sentence."""
    if isinstance(error, MemoryError):
        return "there is not enough memory for this image"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def flush() -> None:
    """Flush standard output; if that fails, drop its content, because Python would try again at exit."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        raise


def end_at_once_when_interrupted() -> None:
    """End without a traceback on Ctrl-C while Python exits."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
