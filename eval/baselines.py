"""Classical baselines: the best of AVIF, WebP and JPEG XL at full, half and quarter size for each byte budget.

python -m misc.eval.baselines --data FOLDER --json FILE
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pillow_jxl  # noqa: F401  (registers JPEG XL with Pillow)
import typer
from PIL import Image
from rich.progress import track

from ..cli.app import run_alone
from .metrics import Reference, StLpips
from .photos import photos_of

__all__ = ["BUDGETS", "best_of", "measure"]

BUDGETS = (0.01, 0.015, 0.02, 0.024, 0.03, 0.04, 0.05)
CODECS: dict[str, dict[str, Any]] = {"AVIF": {"speed": 6}, "WEBP": {"method": 6}, "JXL": {"effort": 7}}
DIVISORS = (1, 2, 4)


def encode_at(image: Image.Image, codec: str, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, codec, quality=quality, **CODECS[codec])
    return buffer.getvalue()


def candidates(image: Image.Image, budgets: list[int]) -> Iterator[tuple[int, str, bytes, Image.Image]]:
    """For every codec, size and budget in bytes: the file of the highest quality that fits, and its decoded image."""
    for divisor in DIVISORS:
        size = (max(1, image.width // divisor), max(1, image.height // divisor))
        small = image if divisor == 1 else image.resize(size, Image.Resampling.LANCZOS)
        for codec in CODECS:
            files: dict[int, bytes] = {}
            for budget in budgets:
                low, high = -1, 101
                while high - low > 1:
                    quality = (low + high) // 2
                    if quality not in files:
                        files[quality] = encode_at(small, codec, quality)
                    low, high = (quality, high) if len(files[quality]) <= budget else (low, quality)
                if low >= 0:
                    decoded = Image.open(io.BytesIO(files[low])).convert("RGB")
                    yield (
                        budget,
                        f"{codec} 1/{divisor}",
                        files[low],
                        decoded.resize(image.size, Image.Resampling.BICUBIC),
                    )


def best_of(image: Image.Image, metric: StLpips, bpps: tuple[float, ...] = BUDGETS) -> dict[str, Any]:
    """{bpp: {metric: the best candidate's figures}} of one photo; a bpp that no candidate reaches is left out."""
    budgets = [int(bpp * image.width * image.height / 8) for bpp in bpps]
    reference = Reference(image, metric)
    best: dict[str, dict[str, Any]] = {}
    measured: dict[tuple[str, int], dict[str, float]] = {}
    for budget, name, data, decoded in candidates(image, budgets):
        key = (name, len(data))
        if key not in measured:
            measured[key] = reference.measure(decoded)
        rate = 8 * len(data) / (image.width * image.height)
        row = {"codec": name, "bpp": rate, **measured[key]}
        place = best.setdefault(str(bpps[budgets.index(budget)]), {})
        for figure, sign in (("psnr", -1), ("st_lpips", 1)):
            if figure not in place or sign * row[figure] < sign * place[figure][figure]:  # type: ignore[operator]
                place[figure] = row
    return best


def measure(data: Path) -> dict[str, Any]:
    """`best_of` of every photo in a folder, by file name."""
    metric = StLpips()
    return {p.name: best_of(Image.open(p).convert("RGB"), metric) for p in track(photos_of(data), "baselines")}


def main(
    data: Annotated[Path, typer.Option(help="folder of photos")],
    json_file: Annotated[Path, typer.Option("--json", help="file for the figures")],
) -> None:
    """Measure the baselines once; `misc.eval.pixel_stream --baselines FILE` reads them."""
    json_file.write_text(json.dumps(measure(data), indent=1) + "\n")


if __name__ == "__main__":
    run_alone(main)
