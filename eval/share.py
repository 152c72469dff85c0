"""Measure how much image quality text and regions cost if they do not change the image, to choose their share.

    misc eval share --data boxes-00.tar [--limit 8] [--json FILE] [--plot FILE.svg]

    photo ─► text, regions ─► file for each rate and share ─► metrics of its image, words and regions that are left

If a file has pixels, the embedded decoder uses only these. Text and regions are for people, searches and programs, and
every byte of them is taken from the pixels. `choose_share` is the rule for `rate_control.TEXT_SHARE`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ..bits.streams import Streams
from ..bits.text.description import Description
from ..cli.app import run_alone
from ..codec import Codec
from ..encoding import Wishes, encode_file
from ..errors import BudgetError, InputError
from ..modes import PLANS, Mode
from ..rate_control import DEFAULT_BPP, TEXT_SHARE, limit_of
from .metrics import mean_of
from .metrics.catalogue import METRICS
from .metrics.panel import Panel
from .panels import plot_panels
from .photos import open_photo, some_photos

__all__ = ["LOSSES", "choose_share", "measure", "summarise"]

RATES = (0.012, DEFAULT_BPP, 0.048)
SHARES = (0.0, 1 / 40, 1 / 20, 1 / 10, 1 / 5)
LOSSES = {"psnr": 0.1, "st_lpips": 0.005, "vit_patch": 0.005}  # largest accepted loss, in the unit of each metric

Figures = dict[str, dict[str, dict[str, float]]]  # {rate: {share: {metric or what is left of the text: figure}}}


def words_of(text: Description | None) -> int:
    """Number of words of a description."""
    return 0 if text is None else sum(len(field.split()) for field in text.fields())


def measure(
    codec: Codec, panel: Panel, photo: Image.Image, rates: Sequence[float] = RATES, shares: Sequence[float] = SHARES
) -> Figures:
    """Figures of a photo, for the rates that its smallest file can reach.

    Args:
        photo: RGB.
        rates: limits of the whole file in bits per pixel.
        shares: of the file, for text and regions.
    """
    text, regions = codec.see(photo)
    figures: Figures = {}
    for rate in rates:
        limit = limit_of(photo.size, bpp=rate, pixels=True)
        drawn: dict[bytes, dict[str, float]] = {}
        row = {}
        for share in shares:
            wishes = Wishes(PLANS[Mode.MISC], limit, share=share)
            try:
                data = encode_file(codec, photo, Streams(*photo.size, 0, text, regions), wishes)
            except BudgetError:
                break
            if data not in drawn:
                kept = codec.streams(data)
                drawn[data] = {
                    "bpp": 8 * len(data) / (photo.width * photo.height),
                    "used": len(data) / (limit.file or 1),
                    "words": words_of(kept.text) / max(1, words_of(text)),
                    "with_text": float(kept.text is not None),
                    "with_regions": float(kept.regions is not None),
                } | panel.compare(photo, codec.decode(data))
            row[name_of(share)] = drawn[data]
        else:
            figures[str(rate)] = row
    return figures


def name_of(share: float) -> str:
    """A share in results: `0.025`."""
    return f"{share:g}"


def summarise(photos: Sequence[Figures]) -> dict[str, Any]:
    """{rate: {"photos": number, share: {figure: mean}}} for the rates that at least one photo can reach."""
    result: dict[str, Any] = {}
    for rate in dict.fromkeys(rate for photo in photos for rate in photo):
        rows = [photo[rate] for photo in photos if rate in photo]
        result[rate] = {"photos": len(rows)} | {share: mean_of([row[share] for row in rows]) for share in rows[0]}
    return result


def choose_share(summary: Mapping[str, Any]) -> float:
    """Of the shares that cost no metric more than LOSSES, the smallest one that keeps the most words.

    Figures are means over all rates, because at a single rate one step of the pixels' quality changes the ViT's cosine
    by about .01.

    Args:
        summary: of `summarise`.
    """
    shares = [share for share in next(iter(summary.values())) if share != "photos"]
    rows = {float(share): mean_of([row[share] for row in summary.values()]) for share in shares}
    without = rows[0.0]

    def cheap(row: Mapping[str, float]) -> bool:
        signs = {name: 1 if METRICS[name].rises else -1 for name in LOSSES if name in row}
        return all(sign * (without[name] - row[name]) <= LOSSES[name] for name, sign in signs.items())

    return min((share for share, row in rows.items() if cheap(row)), key=lambda share: (-rows[share]["words"], share))


def plot(summary: Mapping[str, Any], path: Path) -> None:
    """Plot the remaining words and the panel's figures over the share, one line per rate."""
    shares = [share for share in next(iter(summary.values())) if share != "photos"]
    known = summary[next(iter(summary))][shares[0]]
    labels = {"words": "words kept", **{name: METRICS[name].axis for name in METRICS if name in known}}
    panels = {
        label: {
            f"{rate} bpp": [(100 * float(share), row[share][name]) for share in shares] for rate, row in summary.items()
        }
        for name, label in labels.items()
    }
    plot_panels(path, panels, "share of text and regions, %", 100 * TEXT_SHARE)


def main(
    data: Annotated[Path, typer.Option(help="shard (.tar) or folder of photos")],
    limit: Annotated[int, typer.Option(min=1, help="number of photos, evenly apart in the data")] = 8,
    json_file: Annotated[Path | None, typer.Option("--json", help="file for the figures")] = None,
    plot_file: Annotated[Path | None, typer.Option("--plot", help="file for the plot (.svg or .png)")] = None,
) -> None:
    """Measure what share of a file text and regions should have."""
    codec = Codec(notice=lambda _: None)
    panel = Panel(codec.semantics)
    photos: dict[str, Figures] = {}
    for photo in track(some_photos(data, limit), "drawing", transient=True):
        photos[photo.name] = measure(codec, panel, open_photo(photo))
    summary = summarise(list(photos.values()))
    if not summary:
        raise InputError(f"no photo of {data} has a file at {RATES[0]:g} to {RATES[-1]:g} bpp")
    known = summary[next(iter(summary))]["0"]
    names = [name for name in METRICS if name in known]
    kept = ("used", "words", "with_text", "with_regions")
    table = Table("bpp", "photos", "share", *kept, *(METRICS[name].axis for name in names))
    for rate, row in summary.items():
        for share in (name for name in row if name != "photos"):
            each = row[share]
            cells = [f"{100 * each[key]:.0f} %" for key in kept]
            table.add_row(rate, str(row["photos"]), share, *cells, *(f"{each[name]:.3f}" for name in names))
    console = Console(width=160)
    console.print(table)
    chosen = choose_share(summary)
    console.print(f"share of text and regions, by measurement: {chosen:g}; in use: {TEXT_SHARE:g}")
    if json_file:
        json_file.write_text(json.dumps({"rates": summary, "chosen": chosen, "photos": photos}, indent=1) + "\n")
    if plot_file:
        plot(summary, plot_file)


if __name__ == "__main__":
    run_alone(main)
