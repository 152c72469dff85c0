"""One photo in all modes on one sheet: python -m misc.eval.gallery --photo FILE --out SHEET.jpg [--bpp 0.024]

Every image is drawn from a whole file; below it stand its mode, its bytes and its rate.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from PIL import Image, ImageDraw, ImageFont

from ..cli.app import run_alone
from ..codec import Codec
from ..images import to_rgb

__all__ = ["draw_modes", "lay_out"]

MARGIN, LINE = 6, 22  # pixels between images, and for a line of text
COLUMNS = 4


def draw_modes(codec: Codec, image: Image.Image, bpp: float) -> list[tuple[str, Image.Image]]:
    """Caption and image of the original and of each mode, the smallest file first."""
    description, regions = codec.see(image)
    known: dict[str, Any] = {"description": description}
    modes: list[tuple[str, dict[str, Any]]] = [
        ("micro", {"mode": "micro", "max_bytes": 16}),
        ("text", {"mode": "text"}),
        ("text, best of 64", {"mode": "text", "candidates": 64}),
        ("text+map", {"mode": "text+map", "regions": regions}),
        ("pixel, a third of the rate", {"mode": "pixel", "bpp": bpp / 3}),
        ("misc", {"mode": "misc", "bpp": bpp, "regions": regions}),
    ]
    rows = [(f"original, {3 * image.width * image.height:,} bytes", image)]
    for name, options in modes:
        if options.get("regions", regions) is None and name == "text+map":
            continue
        given = {} if options["mode"] == "pixel" else known
        data = codec.encode(image, **given, **options)
        rate = 8 * len(data) / (image.width * image.height)
        shown = f"{rate:.4f} bpp" if rate > 0.001 else f"{1e6 * rate:.0f} ubpp"
        rows.append((f"{name}: {len(data)} bytes, {shown}", codec.decode(data)))
    rows.append(("misc, the draft of it", codec.decode(data, draft=True)))
    return rows


def lay_out(rows: list[tuple[str, Image.Image]], width: int) -> Image.Image:
    """Images of one size on a sheet, captions below.

    Args:
        rows: caption and image.
        width: width of each image on the sheet, in pixels.
    """
    height = round(rows[0][1].height * width / rows[0][1].width)
    lines = -(-len(rows) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (width + MARGIN) - MARGIN, lines * (height + LINE + MARGIN) - MARGIN), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(14)
    for k, (caption, image) in enumerate(rows):
        left, top = (k % COLUMNS) * (width + MARGIN), (k // COLUMNS) * (height + LINE + MARGIN)
        sheet.paste(image.resize((width, height), Image.Resampling.LANCZOS), (left, top))
        draw.text((left + 2, top + height + 2), caption, fill="black", font=font)
    return sheet


def main(
    photo: Annotated[Path, typer.Option(help="photo that is coded")],
    out: Annotated[Path, typer.Option(help="file for the sheet")],
    bpp: Annotated[float, typer.Option(help="size of the largest file in bits per pixel")] = 0.024,
    width: Annotated[int, typer.Option(help="width of each image on the sheet, in pixels")] = 400,
    profile: Annotated[str, typer.Option(help="profile that encodes and draws")] = "embedded",
) -> None:
    """Show a photo in all modes."""
    with Image.open(photo) as image:
        rows = draw_modes(Codec(profile), to_rgb(image).image, bpp)
    lay_out(rows, width).save(out, quality=90)


if __name__ == "__main__":
    run_alone(main)
