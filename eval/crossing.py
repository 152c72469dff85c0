"""Measure the rate above which pixels are better than text and regions, at which mode auto changes.

    python -m misc.eval.crossing --data boxes-00.tar [--limit 8] [--json FILE] [--plot FILE.svg]

Every photo is coded twice at every rate: with text and regions, where the encoder chooses among 64 photos of the
memory, and with pixels alone. If the smallest pixel stream of a photo does not fit a rate, the photo is left out at
that rate. At a crossing, the means of a metric are equal; it is interpolated linearly in the logarithm of the rate,
before the first rate from which on pixels are better. Mode auto uses the mean of the crossings of the ViT patch cosine
and of CLIP likeness.
"""

from __future__ import annotations

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
from ..errors import BudgetError, InputError
from ..rate_control import AUTO_BPP
from .metrics import mean_of
from .metrics.catalogue import METRICS
from .metrics.panel import Panel
from .panels import plot_panels
from .photos import open_photo, some_photos

__all__ = ["crossing", "measure", "summarise"]

RATES = (0.001, 0.002, 0.0025, 0.003, 0.004, 0.006, 0.01)
CANDIDATES = 64
DECIDING = ("vit_patch", "clip")
KINDS = {"text and regions": "text+map", "pixels": "pixel"}

Figures = dict[str, dict[str, dict[str, float]]]  # {rate: {kind: {metric: figure}}}


def measure(codec: Codec, panel: Panel, photo: Image.Image, rates: Sequence[float]) -> Figures:
    """Figures of a photo, for the rates that both kinds of files can reach.

    Args:
        photo: RGB.
        rates: limits of the whole file in bits per pixel.
    """
    text, regions = codec.see(photo)
    modes = KINDS if regions is not None else KINDS | {"text and regions": "text"}  # no item was found
    chosen: dict[bytes, bytes] = {}  # the file without candidates to the file with them: most rates have the same text
    drawn: dict[bytes, dict[str, float]] = {}
    figures: Figures = {}
    for rate in rates:
        row = {}
        for kind, mode in modes.items():
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
    """{rate: {"photos": number, kind: {metric: mean}}} for the rates that at least one photo can reach."""
    result = {}
    for rate in map(str, rates):
        rows = [photo[rate] for photo in photos if rate in photo]
        if rows:
            result[rate] = {"photos": len(rows)} | {kind: mean_of([row[kind] for row in rows]) for kind in KINDS}
    return result


def crossing(rates: Sequence[float], words: Sequence[float], pixels: Sequence[float]) -> float | None:
    """The rate above which `pixels` are better than `words`; None if they never are, the first rate if always.

    Args:
        rates: in rising order.
        words, pixels: a figure at each rate; more is better.
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
    """The crossing of every metric."""
    rates = [float(rate) for rate in summary]
    found = {}
    for name in metrics:
        sign = 1 if METRICS[name].rises else -1
        words, pixels = ([sign * row[kind][name] for row in summary.values()] for kind in KINDS)
        found[name] = crossing(rates, words, pixels)
    return found


def plot(summary: Mapping[str, Any], path: Path) -> None:
    """Plot both kinds' figures over the rate, one panel per metric; a line shows where mode auto changes."""
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
    photos: dict[str, Figures] = {}
    for photo in track(some_photos(data, limit), "drawing", transient=True):
        photos[photo.name] = measure(codec, panel, open_photo(photo), RATES)
    summary = summarise(list(photos.values()), RATES)
    if not summary:
        raise InputError(f"no photo of {data} has files of both kinds at {RATES[0]:g} to {RATES[-1]:g} bpp")
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
