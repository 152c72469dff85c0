"""`misc describe`: what a multimodal model sees in a picture, as the JSON that `misc encode --describe` reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from misc.console import ProfileOption, say, working

if TYPE_CHECKING:
    from PIL import Image

    from misc.bits.description import Description

__all__ = ["DescriberOption", "describe", "described"]

DescriberOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="who describes: http, or a model's folder or hub name"),
]


def describe(
    source: Annotated[str, typer.Argument(metavar="IMAGE", help="a picture, or - for standard input")],
    describer: DescriberOption = None,
    items: Annotated[int, typer.Option(min=1, max=16, help="how many things to name, at most")] = 3,
    out: Annotated[str, typer.Option(metavar="FILE", help="a file, or - for standard output")] = "-",
    profile: ProfileOption = "embedded",
) -> None:
    """Describe a picture by a multimodal model, as the JSON that `encode --describe` reads."""
    from misc.bits.description import to_json
    from misc.files import read_bytes, write_bytes
    from misc.pictures import decode_picture

    picture = decode_picture(read_bytes(source))
    for notice in picture.notices:
        say(notice)
    found = described(picture.image, describer or "embedded", profile, items)
    write_bytes(out, f"{json.dumps(to_json(found), ensure_ascii=False, indent=2)}\n".encode())


def described(image: Image.Image, name: str, profile: str, items: int = 3) -> Description:
    """The description of an RGB picture by the describer of this name."""
    from misc.models.describer import describer_for
    from misc.models.profile import load_profile

    with working("describing"):
        return describer_for(name, load_profile(profile)).describe(image, items)
