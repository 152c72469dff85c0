"""`misc roundtrip`: an image to a file and back."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from ..bits.container import MAX_PIXELS
from ..bits.regions.maps import DEFAULT_GRID
from ..rate_control import DEFAULT_EFFORT
from .console import Input, Json, ProfileOption, refuse_mixed_output, report, stepping
from .describe import DescriberOption
from .encode import EncodeOptions, compress, file_facts
from .files import IMAGE_FILE, check_target, write_bytes
from .info import size_line
from .options import (
    Bpp,
    Bytes,
    Candidates,
    Describe,
    Draft,
    Effort,
    Force,
    Fusion,
    Grid,
    Guidance,
    MaxPixels,
    ModeOption,
    Quality,
    Reflect,
    Regions,
    Seed,
    Steps,
    StreamsOption,
    Strength,
    Trace,
    Ubpp,
    sampling_changes,
)

__all__ = ["roundtrip"]


def roundtrip(
    source: Input,
    target: Annotated[str, typer.Argument(metavar="OUT.png", help="file for the image as a decoder would draw it")],
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
    draft: Draft = False,
    steps: Steps = None,
    guidance: Guidance = None,
    strength: Strength = None,
    fusion: Fusion = None,
    max_pixels: MaxPixels = MAX_PIXELS,
    force: Force = False,
    profile: ProfileOption = "embedded",
    as_json: Json = False,
) -> None:
    """Compress an image and draw it again at once; print the size and the PSNR."""
    from ..images import encode_image, format_of, psnr

    refuse_mixed_output(target, as_json)
    format_name = "PNG" if target == "-" else format_of(Path(target))
    check_target(target, (source, describe, regions), IMAGE_FILE, force)
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
    )
    data, original, codec = compress(source, options)
    sampling = sampling_changes(steps, guidance, strength, fusion)
    with stepping("decoding") as progress:
        image = codec.decode(data, draft=draft, progress=progress, sampling=sampling)
    write_bytes(target, encode_image(image, format_name))
    likeness = psnr(original.image, image)
    facts = file_facts(data, codec) | {"psnr": round(likeness, 3) if math.isfinite(likeness) else None}
    words = "no difference" if facts["psnr"] is None else f"{likeness:.2f} dB"  # JSON has no infinity
    report(facts, as_json, f"{size_line(facts)}, {words} -> {target}")
