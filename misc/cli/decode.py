"""`misc decode`: a file to an image."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any

from ..bits.container import MAX_PIXELS
from .console import Input, Json, ProfileOption, refuse_mixed_output, report, stepping
from .files import MAX_FILE, check_target, read_bytes, write_bytes
from .options import DecodeSeed, Draft, Force, Fusion, Guidance, MaxPixels, Output, Partial, Steps, Strength

__all__ = ["chosen", "decode"]


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
    """Draw the picture of a .misc file (PNG, JPEG, WebP or AVIF by extension; PNG on standard output)."""
    from ..codec import Codec
    from ..images import encode_picture, format_of

    refuse_mixed_output(target, as_json)
    format_name = "PNG" if target == "-" else format_of(Path(target))
    check_target(target, (source,), force=force)
    data = read_bytes(source, MAX_FILE)
    sampling = chosen(steps=steps, guidance=guidance, strength=strength, fusion=fusion)
    with stepping("decoding") as progress:
        image = Codec(profile, max_pixels=max_pixels).decode(
            data, seed=seed, draft=draft, partial=partial, progress=progress, **sampling
        )
    write_bytes(target, encode_picture(image, format_name))
    facts = {"width": image.width, "height": image.height, "bytes": len(data)}
    report(facts, as_json, f"{image.width}x{image.height} from {len(data)} bytes -> {target}")


def chosen(**options: Any) -> dict[str, Any]:
    """Those options that were given."""
    return {name: str(v) if isinstance(v, StrEnum) else v for name, v in options.items() if v is not None}
