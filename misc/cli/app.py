"""The command line: `misc encode`, `decode`, `info`, `verify`, `roundtrip`, `describe`, `pull`, `doctor`,
`text`.

Results go to files and standard output, everything else to standard error. Exit codes: 0 done, 1 failed, 2 usage,
3 corrupt file, 4 missing or other model.
"""

from __future__ import annotations

import os
import sys

import typer

from ..errors import MiscError
from .console import say
from .decode import decode
from .describe import describe
from .doctor import doctor
from .encode import encode
from .info import info, verify
from .pull import pull
from .roundtrip import roundtrip
from .text import app as text_app

__all__ = ["app", "main"]

app = typer.Typer(
    name="misc",
    help="An image codec for ultra-low bitrates: text, regions and pixels in one small file.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(text_app)
for command in (encode, decode, roundtrip, describe, info, verify, pull, doctor):
    app.command()(command)


def main() -> None:
    """Entry point: every expected failure is one sentence and an exit code."""
    try:
        app()
    except MiscError as error:
        say(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        say(f"{error.strerror or error}")
        sys.exit(1)
    except MemoryError:
        say("there is not enough memory for this picture")
        sys.exit(1)
