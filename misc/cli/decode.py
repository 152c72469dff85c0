"""`misc decode`: a file to an image."""

from __future__ import annotations

from pathlib import Path

from ..bits.container import MAX_PIXELS
from .console import Input, Json, ProfileOption, refuse_mixed_output, report, say, stepping
from .files import IMAGE_FILE, MAX_FILE, check_target, read_bytes, write_bytes
from .options import (
    DecodeSeed,
    Draft,
    Force,
    Fusion,
    Guidance,
    MaxPixels,
    Output,
    Partial,
    Steps,
    Strength,
    sampling_changes,
)

__all__ = ["decode"]


def decode(
    source: Input,
    target: Output,
    seed: DecodeSeed = None,
    draft: Draft = False,
    steps: Steps = None,
    guidance: Guidance = None,
    strength: Strength = None,
    fusion: Fusion = None,
    partial: Partial = False,
    max_pixels: MaxPixels = MAX_PIXELS,
    force: Force = False,
    profile: ProfileOption = "embedded",
    as_json: Json = False,
) -> None:
    """Draw the image of a .misc file (PNG, JPEG, WebP or AVIF by extension; PNG on standard output)."""
    from ..codec import Codec
    from ..images import encode_image, format_of

    refuse_mixed_output(target, as_json)
    format_name = "PNG" if target == "-" else format_of(Path(target))
    check_target(target, (source,), IMAGE_FILE, force)
    data = read_bytes(source, MAX_FILE)
    sampling = sampling_changes(steps, guidance, strength, fusion)
    codec = Codec(profile, max_pixels=max_pixels, notice=say)
    with stepping("decoding") as progress:
        image = codec.decode(data, seed=seed, draft=draft, partial=partial, progress=progress, sampling=sampling)
    write_bytes(target, encode_image(image, format_name))
    facts = {"width": image.width, "height": image.height, "bytes": len(data)}
    report(facts, as_json, f"{image.width}x{image.height} from {len(data)} bytes -> {target}")
