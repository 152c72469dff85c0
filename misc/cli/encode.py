"""`misc encode`: an image to a file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ..bits.container import MAX_PIXELS
from ..errors import InputError
from .console import Input, Json, ProfileOption, refuse_mixed_output, report, say, working
from .describe import DescriberOption, seen
from .files import MAX_DESCRIPTION, MAX_IMAGE, MAX_MAPS, MISC_FILE, check_target, read_bytes, write_bytes
from .info import rate, size_line
from .options import (
    Bpp,
    Bytes,
    Describe,
    Force,
    MaxPixels,
    ModeName,
    ModeOption,
    Output,
    Quality,
    Regions,
    Seed,
    Verify,
)

if TYPE_CHECKING:
    from ..bits.text.description import Description
    from ..codec import Codec
    from ..images import Picture

__all__ = ["compress", "encode", "file_facts"]


def encode(
    source: Input,
    target: Output,
    mode: ModeOption = ModeName.MISC,
    bpp: Bpp = None,
    max_bytes: Bytes = None,
    quality: Quality = None,
    describe: Describe = None,
    describer: DescriberOption = None,
    regions: Regions = None,
    seed: Seed = 0,
    max_pixels: MaxPixels = MAX_PIXELS,
    verify: Verify = True,
    force: Force = False,
    profile: ProfileOption = "embedded",
    as_json: Json = False,
) -> None:
    """Compress a picture into a .misc file."""
    refuse_mixed_output(target, as_json)
    check_target(target, (source, describe, regions), MISC_FILE, force)
    data, _, codec = compress(
        source, mode, bpp, max_bytes, quality, describe, describer, regions, seed, profile, max_pixels, verify
    )
    write_bytes(target, data)
    facts = file_facts(data, codec)
    report(facts, as_json, f"{size_line(facts)} -> {target}")


def compress(
    source: str,
    mode: ModeName,
    bpp: float | None,
    max_bytes: int | None,
    quality: int | None,
    describe: str | None,
    describer: str | None,
    regions: str | None,
    seed: int,
    profile: str,
    max_pixels: int,
    verify: bool = True,
) -> tuple[bytes, Picture, Codec]:
    """The file of a picture, the picture, and the codec that made it."""
    from ..codec import Codec
    from ..images import decode_picture
    from ..maps import load_maps

    text = description_file(describe) if describe else None
    map_bytes = read_bytes(regions, MAX_MAPS) if regions else None
    picture = decode_picture(read_bytes(source, MAX_IMAGE), max_pixels)
    for notice in picture.notices:
        say(notice)
    maps = None if map_bytes is None else load_maps(map_bytes, *picture.image.size)
    codec = Codec(profile, max_pixels=max_pixels)
    if mode is not ModeName.PIXEL:
        text, maps = seen(picture.image, mode.value, codec, text, maps, describer)
    with working("encoding"):
        data = codec.encode(
            picture.image,
            mode=mode.value,
            bpp=bpp,
            max_bytes=max_bytes,
            quality=quality,
            description=text,
            regions=maps,
            seed=seed,
            verify=verify,
        )
    return data, picture, codec


def description_file(name: str) -> Description:
    from ..bits.text.description import from_json

    try:
        value = json.loads(read_bytes(name, MAX_DESCRIPTION))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} is not JSON: {error}") from error
    return from_json(value)


def file_facts(data: bytes, codec: Codec) -> dict[str, Any]:
    from ..bits import container

    header, sections = container.read(data, max_pixels=codec.max_pixels)
    return {
        "width": header.width,
        "height": header.height,
        "bytes": len(data),
        "bpp": rate(data, header),
        "sections": {name: len(section.payload) for name, section in sections.items()},
        "quality": sections["pixels"].payload[0] if "pixels" in sections else None,
        "profile": codec.profile.name,
    }
