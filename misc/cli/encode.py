"""`misc encode`: an image to a file."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..bits.container import MAX_PIXELS
from ..bits.regions.maps import DEFAULT_GRID
from ..errors import InputError
from ..modes import Mode, plan_of
from ..rate_control import DEFAULT_EFFORT
from .console import Input, Json, ProfileOption, refuse_mixed_output, report, say, working
from .describe import DescriberOption
from .files import MAX_DESCRIPTION, MAX_IMAGE, MAX_MAPS, MISC_FILE, check_target, read_bytes, write_bytes
from .info import rate, size_line
from .options import (
    Bpp,
    Bytes,
    Candidates,
    Describe,
    Effort,
    Force,
    Grid,
    MaxPixels,
    ModeOption,
    Output,
    Quality,
    Reflect,
    Regions,
    Seed,
    StreamsOption,
    Trace,
    Ubpp,
    Verify,
)

if TYPE_CHECKING:
    from ..bits.text.description import Description
    from ..codec import Codec
    from ..images import InputImage

__all__ = ["EncodeOptions", "compress", "encode", "file_facts"]


@dataclass(frozen=True)
class EncodeOptions:
    """Options of encoding; the names are those of `misc encode`."""

    mode: Mode | None
    streams: str | None
    bpp: float | None
    ubpp: float | None
    max_bytes: int | None
    quality: int | None
    describe: str | None
    describer: str | None
    regions: str | None
    grid: int
    seed: int | None
    candidates: int
    reflect: int | None
    trace: str | None
    effort: int
    profile: str
    max_pixels: int
    verify: bool = True


def encode(
    source: Input,
    target: Output,
    mode: ModeOption = None,
    streams: StreamsOption = None,
    bpp: Bpp = None,
    ubpp: Ubpp = None,
    max_bytes: Bytes = None,
    quality: Quality = None,
    describe: Describe = None,
    describer: DescriberOption = None,
    regions: Regions = None,
    grid: Grid = DEFAULT_GRID,
    seed: Seed = None,
    candidates: Candidates = 1,
    reflect: Reflect = None,
    trace: Trace = None,
    effort: Effort = DEFAULT_EFFORT,
    max_pixels: MaxPixels = MAX_PIXELS,
    verify: Verify = True,
    force: Force = False,
    profile: ProfileOption = "embedded",
    as_json: Json = False,
) -> None:
    """Compress an image into a .misc file."""
    refuse_mixed_output(target, as_json)
    check_target(target, (source, describe, regions), MISC_FILE, force)
    options = EncodeOptions(
        mode,
        streams,
        bpp,
        ubpp,
        max_bytes,
        quality,
        describe,
        describer,
        regions,
        grid,
        seed,
        candidates,
        reflect,
        trace,
        effort,
        profile,
        max_pixels,
        verify,
    )
    data, _, codec = compress(source, options)
    write_bytes(target, data)
    facts = file_facts(data, codec)
    if candidates > 1:
        from ..closed_loop import METRICS

        facts |= {"candidates": candidates, "chosen_by": list(METRICS)}
    report(facts, as_json, f"{size_line(facts)} -> {target}")


def compress(source: str, options: EncodeOptions) -> tuple[bytes, InputImage, Codec]:
    """The file of an image, the image, and the codec that made it."""
    from ..codec import Codec
    from ..images import decode_image
    from ..maps import load_maps

    text = read_description(options.describe) if options.describe else None
    map_bytes = read_bytes(options.regions, MAX_MAPS) if options.regions else None
    original = decode_image(read_bytes(source, MAX_IMAGE), options.max_pixels)
    for notice in original.notices:
        say(notice)
    codec = Codec(options.profile, describer=options.describer, max_pixels=options.max_pixels, notice=say)
    streams = None if options.streams is None else options.streams.split(",")
    tell_unused(options, plan_of(options.mode, streams).streams)
    with working("encoding"):
        data = codec.encode(
            original.image,
            mode=options.mode,
            streams=streams,
            bpp=options.bpp,
            ubpp=options.ubpp,
            max_bytes=options.max_bytes,
            quality=options.quality,
            description=text,
            regions=None if map_bytes is None else load_maps(map_bytes, *original.image.size),
            grid=options.grid,
            seed=options.seed,
            candidates=options.candidates,
            reflect=options.reflect,
            trace=None if options.trace is None else Path(options.trace),
            effort=options.effort,
            verify=options.verify,
        )
    return data, original, codec


def tell_unused(options: EncodeOptions, streams: Collection[str]) -> None:
    """Say which of the given files a file with these streams does not use."""
    if options.regions and "regions" not in streams:
        say("--regions is not used: no regions are written")
    if options.describe and streams == {"pixels"}:
        say("--describe is not used: neither text nor regions are written")


def read_description(name: str) -> Description:
    """The description in a JSON file; InputError if it holds none."""
    from ..bits.text.description import from_json

    try:
        value = json.loads(read_bytes(name, MAX_DESCRIPTION))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} is not JSON: {error}") from error
    return from_json(value)


def file_facts(data: bytes, codec: Codec) -> dict[str, Any]:
    """Facts about a file for a report."""
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
