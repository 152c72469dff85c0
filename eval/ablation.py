"""Ablation: the contribution of each stream of a file, as in MISC (arXiv 2402.16749).

    misc eval ablation --data FOLDER [--bpp 0.024] [--limit N] [--json FILE]

A file of mode misc is written once. Then streams are dropped as by `misc edit --drop`, and the rest is drawn. The table
has one row for each set of streams: bits of the file and the panel's metrics, with means over the photos and standard
errors.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Annotated, Any

import typer
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ..bits.container import SECTIONS
from ..cli.app import run_alone
from ..codec import Codec
from ..editing import edit_file
from ..errors import InputError
from ..images import decode_image
from .metrics.catalogue import METRICS
from .metrics.panel import Panel
from .photos import photos_of

__all__ = ["groups_of", "measure", "summarise"]


def groups_of(codec: Codec, data: bytes) -> dict[str, bytes]:
    """{streams joined by +: the file with only these}, the complete file first; invalid sets are left out.

    Args:
        data: a file of `codec`.
    """
    content = codec.streams(data)
    there = [name for name in SECTIONS if getattr(content, name) is not None]
    groups = {"+".join(there): data}
    for size in range(len(there) - 1, 0, -1):
        for kept in itertools.combinations(there, size):
            try:
                groups["+".join(kept)] = edit_file(data, codec.profile.exact_models, drop=set(there) - set(kept))
            except InputError:
                continue  # regions without the text to which they belong
    return groups


def measure(codec: Codec, panel: Panel, photo: Image.Image, bpp: float) -> dict[str, dict[str, float]]:
    """{set of streams: figures} of a photo, RGB."""
    text, regions = codec.see(photo)
    data = codec.encode(photo, mode="misc", bpp=bpp, description=text, regions=regions)
    return {
        name: {"bits": 8 * len(file)} | panel.compare(photo, codec.decode(file))
        for name, file in groups_of(codec, data).items()
    }


def summarise(photos: Sequence[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """{set of streams: {"photos", metric: mean, metric_error: standard error}}."""
    result: dict[str, dict[str, float]] = {}
    for name in dict.fromkeys(name for photo in photos for name in photo):
        rows = [photo[name] for photo in photos if name in photo]
        row = result[name] = {"photos": float(len(rows))}
        for metric in rows[0]:
            values = [each[metric] for each in rows]
            row[metric] = fmean(values)
            if len(values) > 1:
                row[f"{metric}_error"] = stdev(values) / math.sqrt(len(values))
    return result


def main(
    data: Annotated[Path, typer.Option(help="folder of photos")],
    bpp: Annotated[float, typer.Option(help="bits per pixel of the whole file, at most")] = 0.024,
    limit: Annotated[int | None, typer.Option(min=1, help="photos, at most")] = None,
    profile: str = "embedded",
    json_file: Annotated[Path | None, typer.Option("--json", help="file for the figures")] = None,
) -> None:
    """Measure what each stream of a file is worth."""
    codec = Codec(profile, notice=lambda _: None)
    panel = Panel(codec.semantics)
    photos: dict[str, Any] = {}
    for path in track(photos_of(data, limit), "drawing", transient=True):
        photos[path.name] = measure(codec, panel, decode_image(path.read_bytes()).image, bpp)
    result = summarise(list(photos.values()))
    names = [name for name in METRICS if any(name in row for row in result.values())]
    table = Table("streams", "photos", "bits", *(METRICS[name].axis for name in names))
    for group, row in result.items():
        cells = [f"{row[name]:.3f} ± {row.get(f'{name}_error', math.nan):.3f}" for name in names]
        table.add_row(group, f"{row['photos']:.0f}", f"{row['bits']:.0f}", *cells)
    Console(width=200).print(table)
    if json_file:
        json_file.write_text(json.dumps({"bpp": bpp, "groups": result, "photos": photos}, indent=1) + "\n")


if __name__ == "__main__":
    run_alone(main)
