"""Measure the pixel stream on a folder of photos, with the bytes of whole files.

    python -m misc.eval.pixel_stream --data FOLDER [--baselines FILE] [--effort N] [--json FILE]

Every photo is encoded for each budget in bits per pixel. Tables give the means over the photos, the Bjontegaard rate
against the best of AVIF, WebP and JPEG XL (`misc.eval.baselines`), seconds, and actual against estimated file size.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ..bits.arithmetic.range_coder import RangeDecoder, RangeEncoder
from ..bits.pixels.latents import pack
from ..cli.app import run_alone
from ..cli.options import Effort
from ..codec import Codec
from ..errors import BudgetError
from ..models.image_tensors import to_tensor
from ..rate_control import DEFAULT_EFFORT
from .baselines import BUDGETS, best_of
from .metrics import Reference, StLpips, mean_of
from .metrics.catalogue import METRICS
from .photos import photos_of
from .report.bjontegaard import rate_difference

__all__ = ["markdown_of", "measure"]

FIGURES = ("psnr", "st_lpips")
TITLES = ("MISC bpp", "PSNR dB", "ST-LPIPS", "others' bpp", "PSNR dB", "others' bpp", "ST-LPIPS")
PADDED_QUALITY = 160  # of the crops of `padding_cost`


def measure_photo(codec: Codec, image: Image.Image, metric: StLpips, effort: int) -> dict[str, dict[str, float]]:
    """{budget: figures} of one photo; a budget that cannot be met is left out."""
    reference = Reference(image, metric)
    rows = {}
    for budget in BUDGETS:
        try:
            data = codec.encode(image, mode="pixel", bpp=budget, effort=effort)
        except BudgetError:
            continue
        bpp = 8 * len(data) / (image.width * image.height)
        rows[str(budget)] = {"bpp": bpp, "bytes": float(len(data)), **reference.measure(codec.decode(data, draft=True))}
    return rows


def curve(photos: list[dict[str, Any]], figure: str, *, nested: bool) -> list[tuple[float, float]]:
    """(mean bpp, mean figure) for each budget that every photo meets."""
    points = []
    for budget in map(str, BUDGETS):
        rows = [photo[budget][figure] if nested else photo[budget] for photo in photos if budget in photo]
        if len(rows) == len(photos):
            mean = mean_of([{"bpp": row["bpp"], figure: row[figure]} for row in rows])
            points.append((mean["bpp"], mean[figure]))
    return points


def speed(codec: Codec, image: Image.Image) -> dict[str, float]:
    """Median seconds on one photo, with models loaded, and symbols per second of the entropy coder alone."""
    codec.encode(image, mode="pixel", bpp=0.024)
    seconds: dict[str, list[float]] = {"encode_s": [], "encode_without_effort_s": [], "decode_s": []}
    for _ in range(5):
        times = [time.perf_counter()]
        data = codec.encode(image, mode="pixel", bpp=0.024)
        times.append(time.perf_counter())
        codec.encode(image, mode="pixel", bpp=0.024, effort=0)
        times.append(time.perf_counter())
        codec.decode(data, draft=True)
        times.append(time.perf_counter())
        for each, start, end in zip(seconds.values(), times, times[1:], strict=False):
            each.append(end - start)
    return {
        **{name: float(np.median(each)) for name, each in seconds.items()},
        **coder_speed(codec),
        "threads": float(torch.get_num_threads()),
    }


def coder_speed(codec: Codec) -> dict[str, float]:
    """Symbols per second of the range coder, with the model's own tables."""
    model = codec.profile.entropy_model
    draw = np.random.default_rng(0)
    index = draw.integers(0, 40, 2_000_000)
    symbols = np.rint(draw.normal(size=index.size) * 0.3).astype(np.int32)
    encoder = RangeEncoder()
    start = time.perf_counter()
    model.encode(encoder, symbols, index)
    data = encoder.finish()
    middle = time.perf_counter()
    model.decode(RangeDecoder(data), index)
    end = time.perf_counter()
    return {"coder_encode_per_s": index.size / (middle - start), "coder_decode_per_s": index.size / (end - middle)}


@torch.inference_mode()
def estimate_gap(codec: Codec, image: Image.Image, quality: int) -> dict[str, float]:
    """Bytes of a file of rounded symbols, and the bytes that the trained model estimates from its likelihoods."""
    model = codec.hyperprior
    width, height = image.width // 64 * 64, image.height // 64 * 64
    pixels = np.array(image.crop((0, 0, width, height)))
    data = codec.encode(Image.fromarray(pixels), mode="pixel", quality=quality, effort=0)
    x = to_tensor(pixels).to(model.device)
    likelihoods = model(x, torch.tensor([quality / 255], device=model.device))["likelihoods"]
    bits = sum(float(-v.double().log2().sum()) for v in likelihoods.values())
    return {"file": float(len(data)), "estimate": bits / 8, "beyond_1_percent": len(data) - 1.01 * bits / 8}


def padding_cost(codec: Codec, image: Image.Image) -> dict[str, float]:
    """Bytes of crops whose sides are one pixel over a multiple of 32, against those at the multiple."""
    model = codec.profile.entropy_model
    sizes = {}
    for name, extra in (("at_multiple", 0), ("one_over", 1)):
        pixels = np.array(image.crop((0, 0, 256 + extra, 256 + extra)))
        data = pack(codec.hyperprior.analyse(pixels, PADDED_QUALITY), model)
        sizes[name] = float(len(data))
    return sizes


def measure(data: Path, profile: str, baselines: dict[str, Any] | None, effort: int = DEFAULT_EFFORT) -> dict[str, Any]:
    """All figures of a folder of photos."""
    codec, metric = Codec(profile), StLpips()
    images = {path.name: Image.open(path).convert("RGB") for path in photos_of(data)}
    ours = {name: measure_photo(codec, image, metric, effort) for name, image in track(images.items(), "pixel stream")}
    theirs = {
        name: (baselines or {}).get(name) or best_of(image, metric) for name, image in track(images.items(), "others")
    }
    curves = {f: curve(list(ours.values()), f, nested=False) for f in FIGURES}
    anchors = {f: curve(list(theirs.values()), f, nested=True) for f in FIGURES}
    gaps = [estimate_gap(codec, image, 192) for image in images.values()]
    return {
        "photos": len(images),
        "curves": curves,
        "best_of_others": anchors,
        "bd_rate_percent": {f: rate_difference(anchors[f], curves[f], METRICS[f].rises) for f in FIGURES},
        "estimate": {**mean_of(gaps), "worst_beyond_1_percent": max(gap["beyond_1_percent"] for gap in gaps)},
        "padding_bytes": mean_of([padding_cost(codec, image) for image in images.values()]),
        "speed": speed(codec, next(iter(images.values()))),
        "per_photo": ours,
    }


def cells_of(result: dict[str, Any]) -> list[list[str]]:
    """A row for each budget: our curves, then those of the others, `-` where there are not files of all photos."""
    curves = [by_budget(result[source][figure]) for source in ("curves", "best_of_others") for figure in FIGURES]
    digits = {"psnr": 2, "st_lpips": 3}
    rows = []
    for budget in sorted(set().union(*curves)):
        pairs = [
            [f"{each[budget][0]:.4f}", f"{each[budget][1]:.{digits[figure]}f}"] if budget in each else ["-", "-"]
            for each, figure in zip(curves, FIGURES * 2, strict=True)
        ]
        rows.append([*pairs[0], pairs[1][1], *pairs[2], *pairs[3]])  # our curves have one rate
    return rows


def by_budget(points: Sequence[Sequence[float]]) -> dict[float, Sequence[float]]:
    """Points (mean bpp, mean figure) of a curve by their budget: the least one that is not below the rate."""
    return {min(budget for budget in BUDGETS if budget >= point[0]): point for point in points}


def markdown_of(result: dict[str, Any]) -> str:
    """The table as it stands in the README."""
    lines = [f"| {' | '.join(TITLES)} |", "|---" * len(TITLES) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in cells_of(result))])


def show(result: dict[str, Any], console: Console) -> None:
    """Print the figures."""
    table = Table(*TITLES)
    for row in cells_of(result):
        table.add_row(*row)
    console.print(table)
    for name in ("bd_rate_percent", "estimate", "padding_bytes", "speed"):
        facts = ", ".join(f"{k} {v:,.3f}" if v is not None else f"{k} -" for k, v in result[name].items())
        console.print(f"{name}: {facts}")


def main(
    data: Annotated[Path, typer.Option(help="folder of photos (Kodak)")],
    baselines: Annotated[Path | None, typer.Option(help="file that misc.eval.baselines wrote")] = None,
    effort: Effort = DEFAULT_EFFORT,
    json_file: Annotated[Path | None, typer.Option("--json", help="file for the figures")] = None,
    profile: str = "embedded",
) -> None:
    """Measure the pixel stream."""
    known = json.loads(baselines.read_text()) if baselines else None
    result = measure(data, profile, known, effort)
    show(result, Console())
    if json_file:
        json_file.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    run_alone(main)
