"""A photo to a `.misc` file in one process, and from the file alone to a picture in another.

    python -m misc.eval.demo --out FOLDER [--photo FILE]

Writes FOLDER/photo.misc, FOLDER/decoded.png and FOLDER/side_by_side.png, and prints the bytes of each part.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer
from misc.eval.metrics import Reference, StLpips
from PIL import Image, ImageDraw
from rich.console import Console
from rich.table import Table

from misc.pictures import decode_picture

__all__ = ["main"]

DESCRIPTION = {
    "overall": "A tall Chinese pavilion with three tiled roofs stands above trees on the shore of a wide misty lake.",
    "items": [
        {"name": "pavilion", "detail": "red columns, orange tiles with green edges"},
        {"name": "lake", "detail": "pale blue, with small boats and an island"},
        {"name": "trees", "detail": "dark green, in front of the pavilion"},
    ],
}


def sample_photo() -> Path:
    """china.jpg of scikit-learn, 640x427, by danielbuechele, CC BY 2.0."""
    return Path(str(resources.files("sklearn.datasets.images") / "china.jpg"))


def misc(*arguments: str | Path) -> str:
    """Run the command line in its own process and return what it prints; fail as it fails."""
    command = [sys.executable, "-m", "misc.cli", *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise typer.Exit(done.returncode)
    return done.stdout


def side_by_side(original: Image.Image, decoded: Image.Image, captions: tuple[str, str]) -> Image.Image:
    """Both pictures on one sheet, captions below."""
    margin = 24
    sheet = Image.new("RGB", (2 * original.width + 8, original.height + margin), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (image, caption) in enumerate(zip((original, decoded), captions, strict=True)):
        left = i * (original.width + 8)
        sheet.paste(image, (left, 0))
        draw.text((left + 4, original.height + 6), caption, fill="black")
    return sheet


def main(
    out: Annotated[Path, typer.Option(help="folder for the file and the pictures")],
    photo: Annotated[Path | None, typer.Option(help="a photo instead of the sample")] = None,
    bpp: float = 0.024,
) -> None:
    """Show the whole way of a photo."""
    out.mkdir(parents=True, exist_ok=True)
    source = photo or sample_photo()
    coded, decoded, text = out / "photo.misc", out / "decoded.png", out / "description.json"
    options: list[str | Path] = []
    if photo is None:
        text.write_text(json.dumps(DESCRIPTION, indent=1))
        options = ["--describe", text]
    misc("encode", source, coded, "--bpp", str(bpp), *options)
    misc("decode", coded, decoded)
    facts = json.loads(misc("info", coded, "--json"))
    original, picture = decode_picture(source.read_bytes()).image, Image.open(decoded)
    figures = Reference(original, StLpips()).measure(picture)
    table = Table("part", "bytes", title=f"{facts['width']}x{facts['height']}, {facts['bpp']:.4f} bpp")
    for name, size in facts["sections"].items():
        table.add_row(name, str(size))
    table.add_row("overhead", str(facts["overhead"]))
    table.add_row("whole file", str(facts["bytes"]))
    console = Console()
    console.print(table)
    console.print(f"PSNR {figures['psnr']:.2f} dB, ST-LPIPS {figures['st_lpips']:.3f}")
    raw = 3 * facts["width"] * facts["height"]
    captions = (f"original, {raw:,} bytes of pixels", f"{facts['bytes']:,} bytes, {facts['bpp']:.4f} bpp")
    side_by_side(original, picture, captions).save(out / "side_by_side.png")
    console.print(f"pictures side by side: {out / 'side_by_side.png'}")


if __name__ == "__main__":
    typer.run(main)
