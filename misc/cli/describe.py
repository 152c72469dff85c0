"""`misc describe`: what a multimodal model sees in a picture, as the JSON that `misc encode --describe` reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import WeightsError
from .console import ProfileOption, json_text, say, working
from .files import JSON_FILE, MAX_IMAGE, check_target, read_bytes, write_bytes
from .options import Force

if TYPE_CHECKING:
    from PIL import Image

    from ..bits.regions.maps import RegionMaps
    from ..bits.text.description import Description
    from ..codec import Codec

__all__ = ["DescriberOption", "describe", "described", "seen"]

DescriberOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="who describes: http, a model's folder or hub name [default: the profile's]"),
]


def describe(
    source: Annotated[str, typer.Argument(metavar="IMAGE", help="a picture, or - for standard input")],
    describer: DescriberOption = None,
    items: Annotated[int, typer.Option(min=1, max=16, help="how many things to name, at most")] = 3,
    out: Annotated[str, typer.Option(metavar="FILE", help="a file, or - for standard output")] = "-",
    force: Force = False,
    profile: ProfileOption = "embedded",
) -> None:
    """Describe a picture by a multimodal model, as the JSON that `encode --describe` reads."""
    from ..bits.text.description import to_json
    from ..images import decode_picture

    check_target(out, (source,), JSON_FILE, force)
    picture = decode_picture(read_bytes(source, MAX_IMAGE))
    for notice in picture.notices:
        say(notice)
    found = described(picture.image, describer, profile, items)
    write_bytes(out, f"{json_text(to_json(found), indent=2)}\n".encode())


def described(image: Image.Image, name: str | None, profile: str, items: int = 3) -> Description:
    """The description of an RGB picture by the describer of this name, or the profile's own."""
    from ..models.describer.describer import describer_for
    from ..profiles import load_profile

    with working("describing"):
        return describer_for(name, load_profile(profile)).describe(image, items)


def seen(
    image: Image.Image,
    mode: str,
    codec: Codec,
    text: Description | None,
    maps: RegionMaps | None,
    describer: str | None,
) -> tuple[Description | None, RegionMaps | None]:
    """What a mode needs of text and maps: those that were given, the others by describer and locator.

    In mode misc, which writes what can be had, a part whose weights are missing is left out with a notice.
    """
    wants_maps = maps is None and mode in ("text+map", "misc")
    try:
        if text is None and describer is None and wants_maps:
            with working("describing and locating"):
                return codec.see(image)
        if text is None:
            text = described(image, describer, codec.profile.name)
        if wants_maps:
            with working("locating"):
                maps = codec.semantics.locate(image, text)
    except WeightsError as error:
        if mode != "misc" or (describer and text is None):
            raise
        left = "region stream is" if text else "text and region streams are"
        say(f"the {left} left out: {error}")
    return text, maps
