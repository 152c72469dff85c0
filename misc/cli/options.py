"""Options and arguments that encode, decode and roundtrip share."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

__all__ = [
    "Bpp",
    "Bytes",
    "DecodeSeed",
    "Describe",
    "Draft",
    "Force",
    "Fusion",
    "FusionName",
    "Guidance",
    "MaxPixels",
    "ModeName",
    "ModeOption",
    "Output",
    "Partial",
    "Quality",
    "Regions",
    "Seed",
    "Steps",
    "Strength",
    "Verify",
]


class ModeName(StrEnum):
    """Modes of `encode`."""

    DLSVC = "dlsvc"
    MICRO = "micro"
    TEXT = "text"
    TEXT_MAP = "text+map"
    PIXEL = "pixel"
    MISC = "misc"


class FusionName(StrEnum):
    """Ways to fuse the streams."""

    REGIONAL = "regional"
    SEQUENTIAL = "sequential"


Output = Annotated[str, typer.Argument(metavar="OUT", help="a file, or - for standard output")]
ModeOption = Annotated[ModeName, typer.Option(help="which streams to write; misc is all that can be had")]
Bpp = Annotated[float | None, typer.Option(min=0, help="bits of the whole file a pixel, at most [default: 0.024]")]
Bytes = Annotated[int | None, typer.Option("--bytes", min=0, help="bytes of the whole file, at most")]
Quality = Annotated[int | None, typer.Option(min=0, max=255, help="quality of the pixel stream instead of a size")]
Describe = Annotated[str | None, typer.Option(metavar="FILE.json", help="the text: overall description and items")]
Regions = Annotated[str | None, typer.Option(metavar="FILE", help="where the items are: .json, .npy or .npz")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="of the decoder's noise, stored in the file")]
DecodeSeed = Annotated[int | None, typer.Option(min=0, max=2**32 - 1, help="of the noise, instead of the file's")]
Draft = Annotated[bool, typer.Option("--draft", help="the pixel stream's own picture, without a generator")]
Force = Annotated[bool, typer.Option("--force", help="replace any file, also a read-only one")]
Steps = Annotated[int | None, typer.Option(min=1, max=1000, help="of sampling [default: the profile's]")]
Guidance = Annotated[float | None, typer.Option(min=1, max=100, help="by the text; 1 is none [default: the profile's]")]
Strength = Annotated[
    float | None, typer.Option(min=0, max=1, help="of the noise in the pixel stream's picture [default: the profile's]")
]
Fusion = Annotated[FusionName | None, typer.Option(help="all items in one pass, or one after another as MISC did")]
Verify = Annotated[bool, typer.Option("--verify/--no-verify", help="decode the new file's symbols and compare them")]
Partial = Annotated[bool, typer.Option("--partial", help="accept a file that was cut at the end of a section")]
MaxPixels = Annotated[int, typer.Option("--max-pixels", min=1, help="the largest image that is accepted, in pixels")]
