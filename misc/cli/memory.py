"""`misc memory build`: a memory of the user's own photos, from which files without pixels are drawn."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from ..errors import InputError, LimitError, UsageError
from .console import Json, ProfileOption, report, say
from .files import MEMORY_FILE, Kind, check_target, text_bytes, write_bytes
from .options import Force

__all__ = ["app"]

COLUMNS = ("photo", "source", "licence")
TABLE = Kind("a table of photos", lambda head: head.startswith(",".join(COLUMNS).encode()))
ENDING = ".safetensors"

app = typer.Typer(name="memory", help="Photos that files without pixels are drawn from.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Keep `build` a command of its own."""


def memory_name(out: Path) -> Path:
    """The name of a memory; with another ending it could be that of its table, or of a photo."""
    if out.suffix != ENDING:
        raise UsageError(f"a memory is a file of the ending {ENDING}, not {str(out)!r}")
    return out


@app.command()
def build(
    photos: Annotated[list[Path], typer.Argument(help="folders of images, images, or WebDataset shards (.tar)")],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE.safetensors", help="file for the memory", callback=memory_name)
    ],
    licence: Annotated[
        list[str] | None, typer.Option(help="text that a photo's licence must contain; repeat for several")
    ] = None,
    stated: Annotated[str, typer.Option(help="licence of the photos that come from no shard")] = "",
    force: Force = False,
    profile: ProfileOption = "embedded",
    as_json: Json = False,
) -> None:
    """Make a memory: each photo coded in some 900 bytes, with what finds it again by text, regions and structure.

    Beside the memory goes a table of the photos' names, sources and licences (.csv).
    """
    from PIL import Image

    from ..codec import Codec
    from ..images import decode_image
    from ..models.memory.build import build_memory
    from ..models.memory.sources import find_photos
    from ..models.memory.store import pack_memory

    for target, kind in ((out, MEMORY_FILE), (out.with_suffix(".csv"), TABLE)):
        check_target(str(target), map(str, photos), kind, force)
    codec, rows = Codec(profile), list[tuple[str, str, str]]()

    def images() -> Iterator[Image.Image]:
        for photo in find_photos(photos, licence or (), stated):
            try:
                image = decode_image(photo.data).image  # as the encoder sees the one that it is to be like
            except (InputError, LimitError) as error:
                say(f"left out: {photo.name}: {error}")
                continue
            rows.append((photo.name, photo.source, photo.licence))
            if len(rows) % 100 == 0:
                say(f"{len(rows)} photos")
            yield image

    memory = build_memory(images(), codec.semantics.tower, codec.semantics.clip_heads, codec.hyperprior)
    packed = pack_memory(memory)
    write_bytes(str(out), packed)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerows([COLUMNS, *rows])
    write_bytes(str(out.with_suffix(".csv")), text_bytes(table.getvalue()))
    say(f'a profile of your own, own.toml, has it: base = "embedded", and in a table [cascade] memory = "{out.name}"')
    facts = {"photos": len(memory), "bytes": len(packed), "memory": str(out)}
    report(facts, as_json, f"{len(memory)} photos, {facts['bytes']} bytes -> {out}", to_stdout=True)
