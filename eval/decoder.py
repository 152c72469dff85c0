"""Measure the decoder's images: all modes on a folder of photos, with whole files.

    python -m misc.eval.decoder --data FOLDER [--bpp 0.024] [--limit N] [--json FILE]

Every photo is described and located once. A row has means over the photos: bits per pixel of the file and the panel's
metrics (PSNR, ST-LPIPS `alex`, cosines of the ViT's patch tokens and of their mean, similarity by the embedded CLIP).
Rows:

    the modes                  as `misc encode --mode` writes them
    text, best of 64           the encoder chooses among the 64 likeliest photos of the memory
    text+pixel                 all streams but regions
    misc --draft               the same files as `misc`, drawn without the upsampler
    draft/4 -> x4plus          the same files, their draft at a quarter of the size through Real-ESRGAN x4plus
    AVIF/4 -> x4plus           a baseline of public parts: AVIF at a quarter of the size, then x4plus

Below them: the gain in CLIP likeness from one row to another, mean over the photos and standard error. With --json, a
stopped run can be continued.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ..bits.regions.maps import RegionMaps
from ..bits.text.description import Description
from ..cli.app import run_alone
from ..codec import Codec
from ..errors import BudgetError
from ..images import to_rgb
from ..models.decoder.cascade_weights import load_x4plus
from ..models.decoder.sharpen import Sharpener
from .codecs.misc_modes import micro_bytes
from .codecs.upsampled import Upsampled, upsample
from .metrics import mean_of
from .metrics.panel import Panel
from .partial import Partial
from .photos import photos_of

__all__ = ["files_of", "markdown_of", "measure"]

CANDIDATES = 64
BEST = f"text, best of {CANDIDATES}"
STEPS = (  # pairs of rows; the second should be better
    ("dlsvc", "text"),
    ("text", "text+map"),
    ("text", BEST),
    ("pixel", "text+pixel"),
    ("pixel", "misc"),
    ("misc --draft", "misc"),
)
COLUMNS = {
    "psnr": ("PSNR dB", 2),
    "st_lpips": ("ST-LPIPS", 3),
    "vit_patch": ("ViT patch", 3),
    "vit_mean": ("ViT mean", 3),
    "clip": ("CLIP likeness", 3),
}


def files_of(
    codec: Codec,
    image: Image.Image,
    description: Description,
    regions: RegionMaps | None,
    bpp: float,
    candidates: int = CANDIDATES,
) -> dict[str, bytes]:
    """Files of a photo, by row; without the row of the encoder's choice if there is only one candidate."""
    known: dict[str, Any] = {"description": description}
    everything = known | {"regions": regions}
    files = {
        "dlsvc": codec.encode(image, mode="dlsvc", **known),
        "micro": codec.encode(image, mode="micro", max_bytes=micro_bytes(image), **known),
        "text": codec.encode(image, mode="text", **known),
        "pixel": codec.encode(image, mode="pixel", bpp=bpp),
        "text+pixel": codec.encode(image, streams=("text", "pixels"), bpp=bpp, **known),
        "misc": codec.encode(image, mode="misc", bpp=bpp, **everything),
    }
    if candidates > 1:
        files[BEST] = codec.encode(image, mode="text", candidates=candidates, **known)
    if regions is not None:
        files["text+map"] = codec.encode(image, mode="text+map", **everything)
    return files


def images_of(
    codec: Codec, image: Image.Image, files: dict[str, bytes], bpp: float, x4plus: Sharpener
) -> Iterator[tuple[str, int, Image.Image]]:
    """Row, bytes and image of everything to compare with a photo."""
    for name, data in files.items():
        yield name, len(data), codec.decode(data)
    draft = codec.decode(files["misc"], draft=True)
    yield "misc --draft", len(files["misc"]), draft
    large = upsample(quarter(draft), x4plus).resize(draft.size, Image.Resampling.LANCZOS)
    yield "draft/4 -> x4plus", len(files["misc"]), large
    avif = Upsampled("avif", x4plus)
    with contextlib.suppress(BudgetError):
        data = avif.encode(image, bpp)
        yield "AVIF/4 -> x4plus", len(data), avif.decode(data)


def quarter(image: Image.Image) -> Image.Image:
    """An image at a quarter of its width and height."""
    size = (max(1, round(image.width / 4)), max(1, round(image.height / 4)))
    return image.resize(size, Image.Resampling.LANCZOS)


def measure_photo(
    codec: Codec, image: Image.Image, panel: Panel, bpp: float, x4plus: Sharpener
) -> dict[str, dict[str, float]]:
    """{row: figures} of one photo."""
    files = files_of(codec, image, *codec.see(image), bpp)
    return {
        name: {"bpp": 8 * size / (image.width * image.height)} | panel.compare(image, drawn)
        for name, size, drawn in images_of(codec, image, files, bpp, x4plus)
    }


def gains_of(photos: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """{"row to row": gain in likeness from the first to the second, mean and standard error} over photos."""
    gains = {}
    for less, more in STEPS:
        each = [photo[more]["clip"] - photo[less]["clip"] for photo in photos if less in photo and more in photo]
        if len(each) > 1:
            error = float(np.std(each, ddof=1)) / math.sqrt(len(each))
            gains[f"{less} to {more}"] = {"gain": math.fsum(each) / len(each), "error": error}
    return gains


def measure(data: Path, bpp: float, limit: int, profile: str, partial: Partial) -> dict[str, Any]:
    """All figures of a folder of photos; those in `partial` are not measured again."""
    codec = Codec(profile)
    panel, x4plus = Panel(codec.semantics), Sharpener(load_x4plus(codec.profile))
    paths = photos_of(data, limit)
    for path in track([path for path in paths if path.name not in partial.answers], "drawing", transient=True):
        with Image.open(path) as image:
            partial.add(path.name, measure_photo(codec, to_rgb(image).image, panel, bpp, x4plus))
    photos = [partial.answers[path.name] for path in paths]
    names = list(dict.fromkeys(name for photo in photos for name in photo))
    rows = {name: mean_of([photo[name] for photo in photos if name in photo]) for name in names}
    per_photo = {path.name: photo for path, photo in zip(paths, photos, strict=True)}
    return {"photos": len(photos), "rows": rows, "gains": gains_of(photos), "per_photo": per_photo}


def show(result: dict[str, Any], console: Console) -> None:
    """Print the table and the gains."""
    table = Table("row", "bpp", *(title for title, _ in COLUMNS.values()), title=f"{result['photos']} photos")
    for name, row in result["rows"].items():
        cells = (f"{row[column]:.{digits}f}" for column, (_, digits) in COLUMNS.items())
        table.add_row(name, f"{row['bpp']:.5f}", *cells)
    console.print(table)
    for step, gain in result["gains"].items():
        console.print(f"CLIP likeness, {step}: {gain['gain']:+.4f}, standard error {gain['error']:.4f}")


def markdown_of(result: dict[str, Any]) -> str:
    """The table in the README."""
    titles = ["row", "bpp", *(title for title, _ in COLUMNS.values())]
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for name, row in result["rows"].items():
        figures = [f"{row[column]:.{digits}f}" for column, (_, digits) in COLUMNS.items()]
        lines.append("| " + " | ".join([f"`{name}`", f"{row['bpp']:.5f}", *figures]) + " |")
    return "\n".join(lines)


def main(
    data: Annotated[Path, typer.Option(help="folder of photos (Kodak)")],
    bpp: Annotated[float, typer.Option(help="size of whole files with pixels in bits per pixel, at most")] = 0.024,
    limit: Annotated[int, typer.Option(min=1, help="number of photos, at most")] = 1000,
    json_file: Annotated[Path | None, typer.Option("--json", help="file for the figures")] = None,
    profile: Annotated[str, typer.Option(help="profile whose decoder is measured")] = "embedded",
) -> None:
    """Measure the decoder."""
    partial = Partial(json_file, {"data": str(data), "bpp": bpp, "profile": profile})
    result = measure(data, bpp, limit, profile, partial)
    show(result, Console())
    if json_file:
        json_file.write_text(json.dumps(result, indent=1) + "\n")
        partial.done()


if __name__ == "__main__":
    run_alone(main)
