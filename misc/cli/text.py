"""`misc text pack|unpack|list`: the text coders on a pipe, for experiments."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ..errors import BitstreamError, InputError, UsageError
from .console import ProfileOption, print_line, printable, report, say
from .files import MAX_FILE, check_target, read_bytes, write_bytes

__all__ = ["app"]

MAX_TEXT = 1 << 16

app = typer.Typer(name="text", help="The text coders on a pipe.", no_args_is_help=True)


@app.command()
def pack(
    coder: Annotated[
        str | None,
        typer.Option(help="name of a coder, as `misc text list` has it (default: the one whose code is shortest)"),
    ] = None,
    profile: ProfileOption = "embedded",
) -> None:
    """Code the text on standard input; write the coder's number and its bytes to standard output."""
    from ..bits.text import shortest
    from ..profiles import load_profile

    coders = load_profile(profile).text_coders
    check_target("-", ())
    try:
        text = read_bytes("-", MAX_TEXT).decode().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise InputError("the text is not UTF-8") from error
    if coder is None:
        write_bytes("-", shortest(text, coders))
        return
    numbers = {each.name: number for number, each in coders.items()}
    if coder not in numbers:
        raise UsageError(f"there is no text coder {coder!r}; there is {', '.join(numbers)}")
    number = numbers[coder]
    packed = coders[number].pack(text)
    if not coders[number].keeps(text):
        say(f"{coder} keeps only {coders[number].unpack(packed)!r}")
    write_bytes("-", bytes([number]) + packed)


@app.command()
def unpack(
    expand: Annotated[bool, typer.Option("--expand", help="turn skeletons of consonants into words")] = False,
    profile: ProfileOption = "embedded",
) -> None:
    """Decode bytes of `misc text pack` from standard input to text on standard output."""
    from ..bits.text import coder_of
    from ..profiles import load_profile

    data = read_bytes("-", MAX_FILE)
    if not data:
        raise BitstreamError("the text stream is empty")
    chosen = load_profile(profile)
    text = coder_of(data[0], chosen.text_coders).unpack(data[1:])
    if expand:
        from ..models.language_model.skeleton import expand_line

        text = expand_line(text, chosen.language_model.sound_path())
    if sys.stdout is not None and sys.stdout.isatty():  # for people; a program gets the text unchanged
        print_line(printable(text))
        return
    write_bytes("-", f"{text}\n".encode())


@app.command("list")
def list_coders(
    profile: ProfileOption = "embedded",
    as_json: Annotated[bool, typer.Option("--json", help="print the list as JSON")] = False,
) -> None:
    """List the text coders: number, name, whether every text is kept, and whether the weights are here."""
    from ..profiles import load_profile

    rows = [
        {"name": each.name, "number": number, "lossless": each.lossless, "available": each.available}
        for number, each in load_profile(profile).text_coders.items()
    ]
    lines = []
    for row in rows:
        kept = "keeps every text" if row["lossless"] else "keeps some texts"
        need = "" if row["available"] else "needs `misc pull`"
        lines.append(f"{row['number']}  {row['name']:10} {kept} {need}".rstrip())
    report(rows, as_json, *lines, to_stdout=True)
