"""Measure all modes on photos: where their bits go, and how like the photo their images are.

    python -m misc.eval.modes --data FOLDER [--limit N] [--candidates K] [--profile NAME] [--json FILE]

A row a mode: bits of text, regions, pixels and of what holds them together, the rate of the whole file, the panel's
figures with their standard errors, and seconds on this machine. What is in a photo is looked for once, for all modes.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Annotated, Any

import typer
from PIL import Image
from rich.console import Console
from rich.table import Table

from ..bits import container
from ..bits.container import SECTIONS
from ..codec import Codec
from ..errors import BudgetError, InputError
from ..images import decode_image
from .metrics.catalogue import METRICS
from .metrics.panel import Panel

__all__ = ["ROWS", "Row", "measure", "photos_of", "summarise"]

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}


@dataclass(frozen=True)
class Row:
    """A mode and its limit.

    Attributes:
        name: for the table.
        options: of `Codec.encode`.
    """

    name: str
    options: Mapping[str, Any]


ROWS = (
    Row("dlsvc", {"mode": "dlsvc"}),
    *(Row(f"micro, {ubpp} ubpp", {"mode": "micro", "ubpp": ubpp}) for ubpp in (100, 200, 500, 1000, 1800)),
    Row("text", {"mode": "text"}),
    Row("text+map", {"mode": "text+map"}),
    Row("pixel", {"mode": "pixel", "bpp": 0.024}),
    Row("misc", {"mode": "misc", "bpp": 0.024}),
    Row("auto, 0.002 bpp", {"mode": "auto", "bpp": 0.002}),
    Row("auto, 0.024 bpp", {"mode": "auto", "bpp": 0.024}),
)


def photos_of(folder: Path, limit: int | None) -> list[Path]:
    """Photos of a folder by name, at most `limit`; InputError if there are none."""
    paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES)[:limit]
    if not paths:
        raise InputError(f"there is no photo in {folder}")
    return paths


def measure(codec: Codec, panel: Panel, photo: Image.Image, rows: Sequence[Row], candidates: int = 1) -> dict[str, Any]:
    """Figures of every row for a photo; {"missing": reason} where a limit is below the least file.

    Args:
        photo: RGB.
        candidates: number of seeds that the encoder tries.
    """
    start = time.perf_counter()
    text, regions = codec.see(photo)
    seeing = time.perf_counter() - start
    figures: dict[str, Any] = {}
    for row in rows:
        start = time.perf_counter()
        try:
            data = codec.encode(photo, description=text, regions=regions, candidates=candidates, **row.options)
        except BudgetError as error:
            figures[row.name] = {"missing": str(error)}
            continue
        encoded = time.perf_counter()
        image = codec.decode(data)
        decoded = time.perf_counter()
        figures[row.name] = {
            **bits_of(data),
            "bpp": 8 * len(data) / (photo.width * photo.height),
            **panel.compare(photo, image),
            "encode_s": encoded - start + (0.0 if row.options["mode"] == "pixel" else seeing),
            "decode_s": decoded - encoded,
        }
    return figures


def bits_of(data: bytes) -> dict[str, int]:
    """Bits of each stream's bytes, and of all else."""
    sections = container.read(data)[1]
    bits = {f"{name}_bits": 8 * len(sections[name].payload) if name in sections else 0 for name in SECTIONS}
    return {**bits, "overhead_bits": 8 * len(data) - sum(bits.values())}


def summarise(photos: Sequence[Mapping[str, Any]], rows: Sequence[Row]) -> dict[str, Any]:
    """Means over the photos of every row, with standard errors of the panel's figures, and the number of photos."""
    result: dict[str, Any] = {}
    for row in rows:
        measured = [photo[row.name] for photo in photos if "missing" not in photo[row.name]]
        if not measured:
            result[row.name] = {"photos": 0, "missing": photos[0][row.name]["missing"]}
            continue
        result[row.name] = {"photos": len(measured)} | {
            name: fmean(photo[name] for photo in measured) for name in measured[0]
        }
        for name in set(measured[0]) & set(METRICS):
            values = [photo[name] for photo in measured]
            error = stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
            result[row.name][f"{name}_error"] = None if math.isnan(error) else error
    return result


def table_of(result: Mapping[str, Any], title: str) -> Table:
    """The summary for people."""
    metrics = [name for name in METRICS if any(name in row for row in result.values())]
    table = Table(
        "mode", "photos", *SECTIONS, "other", "bpp", *(METRICS[name].axis for name in metrics), "s", title=title
    )
    for name, row in result.items():
        if "missing" in row:
            table.add_row(name, "0")
            continue
        bits = [f"{row[f'{stream}_bits']:.0f}" for stream in (*SECTIONS, "overhead")]
        cells = []
        for metric in metrics:
            error = row.get(f"{metric}_error")
            cells.append(f"{row[metric]:.3f}" + ("" if error is None else f" ± {error:.3f}"))
        seconds = f"{row['encode_s']:.1f} + {row['decode_s']:.1f}"
        table.add_row(name, str(row["photos"]), *bits, f"{row['bpp']:.5f}", *cells, seconds)
    return table


def main(
    data: Annotated[Path, typer.Option(help="folder of photos")],
    limit: Annotated[int | None, typer.Option(min=1, help="number of photos, at most")] = None,
    candidates: Annotated[int, typer.Option(min=1, help="number of seeds that the encoder tries")] = 1,
    profile: str = "embedded",
    json_file: Annotated[
        Path | None, typer.Option("--json", help="file for the figures, those of every photo too")
    ] = None,
) -> None:
    """Measure all modes."""
    codec = Codec(profile, notice=lambda _: None)
    panel = Panel(codec.semantics)
    photos: dict[str, Any] = {}
    for path in photos_of(data, limit):
        image = decode_image(path.read_bytes()).image
        photos[path.name] = measure(codec, panel, image, ROWS, candidates)
    result = summarise(list(photos.values()), ROWS)
    if json_file is not None:
        facts = {"profile": profile, "candidates": candidates, "modes": result, "photos": photos}
        json_file.write_text(json.dumps(facts, indent=1) + "\n")
    console = Console(width=200)
    console.print(table_of(result, f"{len(photos)} photos, profile {profile}, {candidates} candidates"))
    for name, reason in panel.missing.items():
        console.print(f"{name} is left out: {reason}")


if __name__ == "__main__":
    typer.run(main)
