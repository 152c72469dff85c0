"""Check that files of mode misc keep their limit and use it; files are encoded but not decoded.

    misc eval budget --data FOLDER [--bpp 0.024] [--limit N] [--json FILE]

The table has one row per photo: bytes of its file, the limit in bytes, and the share that is used; also the mean and
the smallest share.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import typer
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ..bits.container import SECTIONS
from ..cli.app import run_alone
from ..codec import Codec
from ..images import decode_image
from ..rate_control import DEFAULT_BPP, limit_of
from .modes import bits_of
from .photos import photos_of

__all__ = ["measure", "summarise"]


def measure(codec: Codec, photo: Image.Image, bpp: float) -> dict[str, float]:
    """Bytes of a photo's file, its limit in bytes, and bits of each stream.

    Args:
        photo: RGB.
        bpp: limit of the whole file in bits per pixel.
    """
    allowed = limit_of(photo.size, bpp=bpp, pixels=True).file or 0
    data = codec.encode(photo, bpp=bpp)
    return {"bytes": len(data), "allowed": allowed, "used": len(data) / allowed, **bits_of(data)}


def summarise(photos: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Number of photos, number above their limit, and the used share of the limit: mean and smallest."""
    used = [photo["used"] for photo in photos.values()]
    above = sum(photo["bytes"] > photo["allowed"] for photo in photos.values())
    return {"photos": len(used), "above": above, "used": fmean(used), "least_used": min(used)}


def main(
    data: Annotated[Path, typer.Option(help="folder of photos")],
    bpp: Annotated[float, typer.Option(min=0, help="bits of the whole file a pixel, at most")] = DEFAULT_BPP,
    limit: Annotated[int | None, typer.Option(min=1, help="number of photos, at most")] = None,
    profile: str = "embedded",
    json_file: Annotated[Path | None, typer.Option("--json", help="file for the figures")] = None,
) -> None:
    """Measure how much of their limit files of mode misc use."""
    codec = Codec(profile, notice=lambda _: None)
    photos: dict[str, dict[str, float]] = {}
    for path in track(photos_of(data, limit), "encoding", transient=True):
        photos[path.name] = measure(codec, decode_image(path.read_bytes()).image, bpp)
    summary: dict[str, Any] = {"profile": profile, "bpp": bpp, **summarise(photos)}
    table = Table("photo", *SECTIONS, "other", "bytes", "allowed", "used")
    for name, row in photos.items():
        bits = [f"{row[f'{stream}_bits']:.0f}" for stream in (*SECTIONS, "overhead")]
        table.add_row(name, *bits, str(row["bytes"]), str(row["allowed"]), f"{100 * row['used']:.1f} %")
    console = Console(width=120)
    console.print(table)
    console.print(
        f"{summary['photos']} photos at {bpp} bpp: {summary['above']} above the limit; "
        f"used {100 * summary['used']:.1f} % on average, {100 * summary['least_used']:.1f} % at least"
    )
    if json_file:
        json_file.write_text(json.dumps({**summary, "files": photos}, indent=1) + "\n")


if __name__ == "__main__":
    run_alone(main)
