"""Options and arguments that encode, decode and roundtrip share."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from ..bits.container import SECTIONS
from ..bits.regions.maps import DEFAULT_GRID, GRIDS, check_grid
from ..decoder_profile import SamplingChanges
from ..errors import InputError, UsageError
from ..modes import Mode

__all__ = [
    "Bpp",
    "Bytes",
    "Candidates",
    "DecodeSeed",
    "Describe",
    "Draft",
    "Effort",
    "Force",
    "Fusion",
    "FusionName",
    "Grid",
    "Guidance",
    "MaxPixels",
    "ModeOption",
    "Output",
    "Partial",
    "Quality",
    "RayAddress",
    "Reflect",
    "Regions",
    "Seed",
    "Steps",
    "StreamsOption",
    "Strength",
    "Trace",
    "Ubpp",
    "Verify",
    "sampling_changes",
]


class FusionName(StrEnum):
    """Ways to fuse the streams."""

    REGIONAL = "regional"
    SEQUENTIAL = "sequential"


def grid_of(grid: int) -> int:
    try:
        return check_grid(grid)
    except InputError as error:
        raise UsageError(str(error)) from error


Output = Annotated[str, typer.Argument(metavar="OUT", help="a file, or - for standard output")]
ModeOption = Annotated[
    Mode | None, typer.Option(help="which streams to write; the default, misc, writes all that the profile can")
]
StreamsOption = Annotated[
    str | None, typer.Option(metavar="NAMES", help=f"streams to write, separated by commas: {','.join(SECTIONS)}")
]
Grid = Annotated[
    int,
    typer.Option(
        metavar="|".join(map(str, GRIDS)),
        help=f"number of cells of the region maps on the shorter side (default: {DEFAULT_GRID})",
        show_default=False,
        callback=grid_of,
    ),
]
Bpp = Annotated[
    float | None,
    typer.Option(min=0, help="size of the whole file in bits per pixel, at most (default: 0.024 with pixels)"),
]
Ubpp = Annotated[
    float | None,
    typer.Option(
        min=0,
        help="the same limit in millionths of a bit per pixel; in mode micro, for the text's code alone",
    ),
]
Bytes = Annotated[int | None, typer.Option("--bytes", min=0, help="size of the whole file in bytes, at most")]
Quality = Annotated[int | None, typer.Option(min=0, max=255, help="quality of the pixel stream, instead of a size")]
Effort = Annotated[
    int, typer.Option(min=0, max=1000, help="rounds in which the pixel stream's symbols are optimised; 0 is fastest")
]
Describe = Annotated[
    str | None, typer.Option(metavar="FILE.json", help="file with the text: a description of the whole, and the items")
]
Regions = Annotated[
    str | None, typer.Option(metavar="FILE", help="file that says where the items are: .json, .npy or .npz")
]
Seed = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=2**32 - 1,
        help="stored in the file: seed of the decoder's noise; without pixels in the profile embedded, the number of "
        "the memory's photo plus 1, and 0 for the one that the text selects",
    ),
]
Candidates = Annotated[
    int,
    typer.Option(
        min=1,
        max=4096,
        help="number of seeds to try; the file gets the one whose image is most like the original (without pixels, 20 "
        "are compared as stored in the memory, and the best two are drawn)",
    ),
]
Reflect = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=16,
        help="rounds of drawing, describing the image and mending the text (default: 1 in mode micro above 500 ubpp)",
    ),
]
Trace = Annotated[
    str | None, typer.Option(metavar="DIR", help="folder for a page with each round's text, image and score")
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray", metavar="ADDRESS", help="address of a Ray cluster whose machines see both folders, or `local`"
    ),
]
DecodeSeed = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=2**32 - 1,
        help="instead of the file's: seed of the noise; without pixels in the profile embedded, draw the photo that "
        "many places after the likeliest",
    ),
]
Draft = Annotated[bool, typer.Option("--draft", help="draw the pixel stream's own image, without a generator")]
Force = Annotated[bool, typer.Option("--force", help="replace any file, even a read-only one")]
Steps = Annotated[int | None, typer.Option(min=1, max=1000, help="number of sampling steps (default: the profile's)")]
Guidance = Annotated[
    float | None, typer.Option(min=1, max=100, help="scale of guidance by the text; 1 is none (default: the profile's)")
]
Strength = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="share of noise in the draft that sampling starts from (default: the profile's)"),
]
Fusion = Annotated[
    FusionName | None,
    typer.Option(help="how items are fused: all in one pass, or one after another as in the MISC paper"),
]
Verify = Annotated[bool, typer.Option("--verify/--no-verify", help="decode the new file's symbols and compare them")]
Partial = Annotated[bool, typer.Option("--partial", help="accept a file that was cut at the end of a section")]
MaxPixels = Annotated[int, typer.Option("--max-pixels", min=1, help="number of pixels that an image may have, at most")]


def sampling_changes(
    steps: int | None, guidance: float | None, strength: float | None, fusion: FusionName | None
) -> SamplingChanges:
    """The options of sampling that were given."""
    return SamplingChanges(steps, guidance, strength, None if fusion is None else fusion.value)
