"""`misc text pack|unpack|list`: the text coders on a pipe, for experiments."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from misc.errors import BitstreamError, InputError

__all__ = ["app"]

app = typer.Typer(name="text", help="The text coders on a pipe.", no_args_is_help=True)

ProfileOption = Annotated[str, typer.Option("--profile", help="the set of models")]


@app.command()
def pack(
    coder: Annotated[str | None, typer.Option(help="a name of `misc text list` [default: the shortest]")] = None,
    profile: ProfileOption = "embedded",
) -> None:
    """Text on standard input to bytes on standard output: the coder's number, then its code."""
    from misc.bits.text import shortest
    from misc.bits.text.lzw import fold
    from misc.files import read_bytes, write_bytes
    from misc.models.profile import load_profile

    coders = load_profile(profile).text_coders
    try:
        text = read_bytes("-").decode().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise InputError("the text is not UTF-8") from error
    if coder is None:
        write_bytes("-", shortest(text, coders))
        return
    chosen = next((each for each in coders if each.name == coder), None)
    if chosen is None:
        raise InputError(f"there is no text coder {coder!r}; there is {', '.join(each.name for each in coders)}")
    if not chosen.lossless and fold(text) != text:
        print(f"misc: {coder} keeps only letters and spaces: {fold(text)!r}", file=sys.stderr)
    write_bytes("-", bytes([chosen.number]) + chosen.pack(text))


@app.command()
def unpack(profile: ProfileOption = "embedded") -> None:
    """Bytes of `misc text pack` on standard input to text on standard output."""
    from misc.bits.text import coder_of
    from misc.files import read_bytes, write_bytes
    from misc.models.profile import load_profile

    data = read_bytes("-")
    if not data:
        raise BitstreamError("the text stream is empty")
    text = coder_of(data[0], load_profile(profile).text_coders).unpack(data[1:])
    write_bytes("-", f"{text}\n".encode())


@app.command("list")
def list_coders(
    profile: ProfileOption = "embedded",
    as_json: Annotated[bool, typer.Option("--json", help="as JSON")] = False,
) -> None:
    """Names, numbers and whether each coder's weights are here."""
    from misc.models.profile import load_profile

    rows = [
        {"name": each.name, "number": each.number, "lossless": each.lossless, "available": each.available}
        for each in load_profile(profile).text_coders
    ]
    if as_json:
        print(json.dumps(rows))
        return
    for row in rows:
        loss = "lossless" if row["lossless"] else "letters only"
        print(f"{row['number']}  {row['name']:10} {loss:12} {'' if row['available'] else 'needs `misc pull`'}".rstrip())
