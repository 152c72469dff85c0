"""Measure whether the memory of a process stays constant over many decodings.

    misc eval flat-memory [--image FILE] [--modes pixel,misc,text] [--decodes 500] [--profile NAME] [--json FILE]

One small image is encoded in each mode, and the files are decoded in turn in this process. Resident memory is read ten
times. A least-squares line gives its slope, without the first reading, because networks are loaded and allocators grow
before it. A slope above BOUND is a failure. BOUND is a quarter of one image, so it would detect an image leaked at
every decoding; it is above the noise of the allocators. Linux only.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ..bits.regions.maps import RegionMaps
from ..bits.text.description import Description, Item
from ..cli.app import run_alone
from ..codec import Codec
from ..errors import InputError
from ..images import decode_image
from .memory import resident_memory

__all__ = ["BOUND", "make_files", "measure", "slope_of"]

SIZE = (192, 128)
BPP = 0.2  # a small image needs a higher rate
BOUND = 18.0  # KiB a decoding, at most
READINGS = 10
TEXT = Description("a dog on a beach beside the sea", (Item("dog", "brown"), Item("sea", "grey")))
KIB, MIB = 1 << 10, 1 << 20


def make_files(codec: Codec, image: Image.Image, modes: Sequence[str]) -> dict[str, bytes]:
    """{mode: file} of an image, with invented text and regions."""
    masks = np.zeros((2, 8, 12), bool)
    masks[0, 3:7, 2:6] = masks[1, :3] = True
    regions = RegionMaps(masks)
    return {mode: codec.encode(image, mode=mode, bpp=BPP, description=TEXT, regions=regions) for mode in modes}


def measure(
    decode: Callable[[bytes], object], files: Sequence[bytes], decodes: int, read: Callable[[], int] = resident_memory
) -> dict[str, Any]:
    """Resident memory in MiB by the number of decodings, its slope in KiB per decoding, and the time of all in seconds.

    Args:
        decode: decodes a file.
        files: are decoded in turn.
        decodes: number of decodings, READINGS or more.
        read: returns the resident bytes.
    """
    every, start = decodes // READINGS, time.perf_counter()
    readings: dict[int, int] = {}
    for done in track(range(1, decodes + 1), "decoding", transient=True, console=Console(stderr=True)):
        decode(files[done % len(files)])
        if done % every == 0 and len(readings) < READINGS:
            readings[done] = read()
    return {
        "resident_mib": {str(done): value / MIB for done, value in readings.items()},
        "slope_kib": slope_of(readings),
        "seconds": time.perf_counter() - start,
    }


def slope_of(readings: dict[int, int]) -> float:
    """Slope in KiB per decoding of the least-squares line through the readings, without the first."""
    places, values = np.array(list(readings.items())[1:], float).T
    return float(np.polyfit(places, values, 1)[0]) / KIB


def main(
    image: Annotated[
        Path | None, typer.Option(help="photo that is scaled to 192x128 (default: one that is drawn here)")
    ] = None,
    modes: Annotated[str, typer.Option(help="modes of the files, separated by commas")] = "pixel,misc,text,text+map",
    decodes: Annotated[int, typer.Option(min=2 * READINGS, help="number of decodings of all files together")] = 500,
    profile: Annotated[str, typer.Option(help="profile that decodes")] = "embedded",
    json_file: Annotated[Path | None, typer.Option("--json", help="file for the figures")] = None,
) -> None:
    """Decode the same files again and again and read the memory; exit code 1 if it grows."""
    names = [name for name in modes.split(",") if name]
    if not names:
        raise InputError("name at least one mode")
    codec = Codec(profile, device="cpu", notice=lambda _: None)
    photo = drawn_here() if image is None else decode_image(image.read_bytes()).image.resize(SIZE)
    files = make_files(codec, photo, names)
    result = measure(codec.decode, list(files.values()), decodes)
    flat = result["slope_kib"] <= BOUND
    facts = {"profile": profile, "size": SIZE, "modes": names, "decodes": decodes, "bound_kib": BOUND, "flat": flat}
    if json_file is not None:
        json_file.write_text(json.dumps({**facts, **result}, indent=1) + "\n")
    table = Table("decodings", "resident MiB", title=f"{', '.join(names)}, {SIZE[0]}x{SIZE[1]}, profile {profile}")
    for done, value in result["resident_mib"].items():
        table.add_row(done, f"{value:.1f}")
    console = Console()
    console.print(table)
    console.print(f"memory changes by {result['slope_kib']:+.2f} KiB a decoding; {BOUND:g} are allowed")
    if not flat:
        raise typer.Exit(1)


def drawn_here() -> Image.Image:
    """An image of waves, used without `--image`."""
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    waves = [128 + 100 * np.sin(x / (9 + 4 * k)) * np.cos(y / (7 + 3 * k)) for k in range(3)]
    return Image.fromarray(np.stack(waves, -1).astype(np.uint8))


if __name__ == "__main__":
    run_alone(main)
