"""Measure from which rate on a file is better with pixels than with text and regions alone: where mode auto changes.

    python -m misc.eval.crossing --data boxes-00.tar [--limit 8] [--json FILE] [--plot FILE.svg]

Every photo is coded at every rate twice: text and regions, whose photo of the memory the encoder chooses among 64, and
pixels alone. A photo whose smallest pixel stream does not fit into a rate counts for neither there. A crossing is where
the means of a metric are equal, between the first two rates from which on pixels are better (straight line between
their logarithms); mode auto takes the mean of the crossings of the ViT's patch cosine and of CLIP likeness.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import typer
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ..cli.app import run_alone
from ..codec import Codec
from ..errors import BudgetError
from ..images import to_rgb
from ..models.memory.sources import find_photos
from ..rate_control import AUTO_BPP
from .metrics import mean_of
from .metrics.catalogue import METRICS
from .metrics.panel import Panel
from .panels import plot_panels
from .upsampler import spread

__all__ = ["crossing", "measure", "summarise"]

RATES = (0.001, 0.002, 0.0025, 0.003, 0.004, 0.006, 0.01)
CANDIDATES = 64
DECIDING = ("vit_patch", "clip")
KINDS = {"text and regions": "text+map", "pixels": "pixel"}

Figures = dict[str, dict[str, dict[str, float]]]  # {rate: {kind: {metric: figure}}}


def measure(codec: Codec, panel: Panel, photo: Image.Image, rates: Sequence[float]) -> Figures:
    """Figures of a photo, for the rates that both kinds of file keep to.

    Args:
        photo: RGB.
        rates: bits of the whole file a pixel, at most.
    """
    text, regions = codec.see(photo)
    chosen: dict[bytes, bytes] = {}  # a file as it is without candidates, and with them: most rates have the same text
    drawn: dict[bytes, dict[str, float]] = {}
    figures: Figures = {}
    for rate in rates:
        row = {}
        for kind, mode in KINDS.items():
            try:
                data = codec.encode(photo, mode=mode, bpp=rate, description=text, regions=regions)
            except BudgetError:
                break
            if mode != "pixel":
                if data not in chosen:
                    chosen[data] = codec.encode(
                        photo, mode=mode, bpp=rate, description=text, regions=regions, candidates=CANDIDATES
                    )
                data = chosen[data]
            if data not in drawn:
                drawn[data] = {"bpp": 8 * len(data) / (photo.width * photo.height)}
                drawn[data] |= panel.compare(photo, codec.decode(data))
            row[kind] = drawn[data]
        else:
            figures[str(rate)] = row
    return figures


def summarise(photos: Sequence[Figures], rates: Sequence[float]) -> dict[str, Any]:
    """{rate: {"photos": how many, kind: {metric: mean}}} for the rates that some photo keeps to."""
    result = {}
    for rate in map(str, rates):
        rows = [photo[rate] for photo in photos if rate in photo]
        if rows:
            result[rate] = {"photos": len(rows)} | {kind: mean_of([row[kind] for row in rows]) for kind in KINDS}
    return result


def crossing(rates: Sequence[float], words: Sequence[float], pixels: Sequence[float]) -> float | None:
    """The rate from which on `pixels` are above `words`; None if that is never, the first rate if it is always.

    Args:
        rates: rising.
        words, pixels: a figure at each rate, of which more is better.
    """
    above = [b > a for a, b in zip(words, pixels, strict=True)]
    first = len(above)
    while first and above[first - 1]:
        first -= 1
    if first == len(above):
        return None
    if first == 0:
        return rates[0]
    before, after = (words[k] - pixels[k] for k in (first - 1, first))
    low, high = math.log(rates[first - 1]), math.log(rates[first])
    return math.exp(low + (high - low) * before / (before - after))


def crossings_of(summary: Mapping[str, Any], metrics: Sequence[str]) -> dict[str, float | None]:
    """The crossing of every metric, by which more is better or less."""
    rates = [float(rate) for rate in summary]
    found = {}
    for name in metrics:
        sign = 1 if METRICS[name].rises else -1
        words, pixels = ([sign * row[kind][name] for row in summary.values()] for kind in KINDS)
        found[name] = crossing(rates, words, pixels)
    return found


def plot(summary: Mapping[str, Any], path: Path) -> None:
    """Both kinds' figures over the rate, a panel a metric; the line is where mode auto changes."""
    metrics = [name for name in METRICS if name in next(iter(summary.values()))["pixels"]]
    panels = {
        METRICS[name].axis: {
            kind: [(1e6 * float(rate), row[kind][name]) for rate, row in summary.items()] for kind in KINDS
        }
        for name in metrics
    }
    plot_panels(path, panels, "limit, µbpp", 1e6 * AUTO_BPP, log=True)


def main(
    data: Annotated[Path, typer.Option(help="shard (.tar) or folder of photos")],
    limit: Annotated[int, typer.Option(min=1, help="number of photos, evenly apart in the data")] = 8,
    json_file: Annotated[Path | None, typer.Option("--json", help="file for the figures")] = None,
    plot_file: Annotated[Path | None, typer.Option("--plot", help="file for the plot (.svg or .png)")] = None,
) -> None:
    """Measure where mode auto should change."""
    codec = Codec(notice=lambda _: None)
    panel = Panel(codec.semantics)
    found = list(find_photos([data]))
    photos: dict[str, Figures] = {}
    for photo in track([found[k] for k in spread(len(found), limit)], "drawing", transient=True):
        with Image.open(io.BytesIO(photo.data)) as file:
            photos[photo.name] = measure(codec, panel, to_rgb(file).image, RATES)
    summary = summarise(list(photos.values()), RATES)
    names = [name for name in METRICS if name in next(iter(summary.values()))["pixels"]]
    crossings = crossings_of(summary, names)
    table = Table("bpp", "photos", "streams", *(METRICS[name].axis for name in names))
    for rate, row in summary.items():
        for kind in KINDS:
            table.add_row(rate, str(row["photos"]), kind, *(f"{row[kind][name]:.3f}" for name in names))
    console = Console()
    console.print(table)
    for name, rate in crossings.items():
        console.print(f"{METRICS[name].label}: {'no crossing' if rate is None else f'{rate:.5f} bpp'}")
    known = [rate for name in DECIDING if (rate := crossings[name]) is not None]
    if known:
        console.print(f"mode auto, by measurement: {fmean(known):.5f} bpp; in use: {AUTO_BPP} bpp")
    if json_file:
        json_file.write_text(json.dumps({"rates": summary, "crossings": crossings, "photos": photos}, indent=1) + "\n")
    if plot_file:
        plot(summary, plot_file)


if __name__ == "__main__":
    run_alone(main)
