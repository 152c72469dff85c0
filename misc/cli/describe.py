"""`misc describe`: what a multimodal model sees in an image, as the JSON that `misc encode --describe` reads."""

from __future__ import annotations

from typing import Annotated

import typer

from .console import ProfileOption, json_text, say, working
from .files import JSON_FILE, MAX_IMAGE, check_target, read_bytes, write_bytes
from .options import Force

__all__ = ["DescriberOption", "describe"]

DescriberOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="model that describes: http, a folder, or a name of the hub (default: the profile's)"
    ),
]


def describe(
    source: Annotated[str, typer.Argument(metavar="IMAGE", help="an image, or - for standard input")],
    describer: DescriberOption = None,
    items: Annotated[int, typer.Option(min=1, max=16, help="number of items to name, at most")] = 3,
    out: Annotated[str, typer.Option(metavar="FILE", help="a file, or - for standard output")] = "-",
    force: Force = False,
    profile: ProfileOption = "embedded",
) -> None:
    """Describe an image by a multimodal model, as the JSON that `encode --describe` reads."""
    from ..bits.text.description import to_json
    from ..codec import Codec
    from ..images import decode_image

    check_target(out, (source,), JSON_FILE, force)
    original = decode_image(read_bytes(source, MAX_IMAGE))
    for notice in original.notices:
        say(notice)
    codec = Codec(profile, describer=describer, notice=say)
    with working("describing"):
        text = codec.semantics.describe(original.image, items)
    write_bytes(out, f"{json_text(to_json(text), indent=2)}\n".encode())
