"""Compare weights of the upsampler on photos that were not used for training.

    python -m misc.eval.upsampler --data boxes-00.tar --weights FILE [--weights FILE ...] [--out FOLDER] [--json FILE]

Every photo is coded once, with pixels alone. The rows are the draft, unmodified Real-ESRGAN x4plus, and each file of
weights, with means of the panel over the photos. For visual comparison, a sheet of each photo is written to OUT, the
original first.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ..cli.app import run_alone
from ..codec import Codec
from ..models.decoder.cascade_weights import load_x4plus
from ..models.decoder.sharpen import Sharpener
from ..models.decoder.upsampler_weights import load_upsampler
from .decoder import COLUMNS
from .metrics import mean_of
from .metrics.panel import Panel
from .photos import open_photo, some_photos

__all__ = ["measure"]


def draw_all(codec: Codec, image: Image.Image, sharpeners: dict[str, Sharpener], bpp: float) -> dict[str, Image.Image]:
    """The draft of a photo's file, and each upsampler's image of it."""
    content = codec.streams(codec.encode(image, mode="pixel", bpp=bpp))
    draft = codec.draw(content, draft=True)
    assert content.pixels is not None
    quality = content.pixels.quality
    drawn = {name: each.draw(np.asarray(draft), quality, 0) for name, each in sharpeners.items()}
    return {"draft": draft} | {name: Image.fromarray(pixels) for name, pixels in drawn.items()}


def measure(data: Path, weights: list[Path], limit: int, bpp: float, out: Path | None) -> dict[str, Any]:
    """{"photos": their names, "rows": {row: means of the panel}}."""
    codec = Codec()
    panel = Panel(codec.semantics)
    sharpeners = {"x4plus": Sharpener(load_x4plus(codec.profile))}
    sharpeners |= {path.stem: Sharpener(load_upsampler(path)) for path in weights}
    chosen = some_photos(data, limit)
    figures: dict[str, list[dict[str, float]]] = {}
    for photo in track(chosen, "drawing", transient=True):
        image = open_photo(photo)
        drawn = draw_all(codec, image, sharpeners, bpp)
        for name, each in drawn.items():
            figures.setdefault(name, []).append(panel.compare(image, each))
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            sheet([image, *drawn.values()]).save(out / f"{photo.name.replace('/', '-')}.png")
    return {"photos": [photo.name for photo in chosen], "rows": {name: mean_of(each) for name, each in figures.items()}}


def sheet(images: list[Image.Image]) -> Image.Image:
    """Images of one size in a row."""
    width, height = images[0].size
    row = Image.new("RGB", (width * len(images), height))
    for k, image in enumerate(images):
        row.paste(image, (k * width, 0))
    return row


def main(
    data: Annotated[Path, typer.Option(help="shard (.tar) or folder of photos that were not trained on")],
    weights: Annotated[list[Path], typer.Option(help="file of weights; repeat for several")],
    limit: Annotated[int, typer.Option(min=1, help="number of photos, evenly apart in the data")] = 8,
    bpp: Annotated[float, typer.Option(help="size of the whole file in bits per pixel, at most")] = 0.024,
    out: Annotated[Path | None, typer.Option(help="folder for sheets to look at")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="file for the figures")] = None,
) -> None:
    """Compare weights of the upsampler."""
    result = measure(data, weights, limit, bpp, out)
    table = Table("row", *(title for title, _ in COLUMNS.values()), title=f"{len(result['photos'])} photos")
    for name, row in result["rows"].items():
        table.add_row(name, *(f"{row[column]:.{digits}f}" for column, (_, digits) in COLUMNS.items()))
    Console().print(table)
    if json_file:
        json_file.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    run_alone(main)
