"""Encode a photo to a `.misc` file in one process, and decode the file alone in another.

    python -m misc.eval.demo --out FOLDER [--photo FILE]

It first fetches the embedded profile's packages, then describes, locates, compresses and draws. It writes
FOLDER/photo.misc, FOLDER/decoded.png and FOLDER/side_by_side.png, and prints the bytes of each part.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer
from PIL import Image, ImageDraw
from rich.console import Console
from rich.table import Table

from ..cli.app import run_alone
from ..images import decode_image
from .metrics import Reference, StLpips

__all__ = ["main"]


def sample_photo() -> Path:
    """china.jpg of scikit-learn, 640x427, by danielbuechele, CC BY 2.0."""
    return Path(str(resources.files("sklearn.datasets.images") / "china.jpg"))


def misc(*arguments: str | Path) -> str:
    """Run the command line in its own process and return its output; exit with its code if it fails."""
    command = [sys.executable, "-m", "misc", *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise typer.Exit(done.returncode)
    return done.stdout


def side_by_side(original: Image.Image, decoded: Image.Image, captions: tuple[str, str]) -> Image.Image:
    """Both images on one sheet, captions below."""
    margin = 24
    sheet = Image.new("RGB", (2 * original.width + 8, original.height + margin), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (image, caption) in enumerate(zip((original, decoded), captions, strict=True)):
        left = i * (original.width + 8)
        sheet.paste(image, (left, 0))
        draw.text((left + 4, original.height + 6), caption, fill="black")
    return sheet


def main(
    out: Annotated[Path, typer.Option(help="folder for the file and the images")],
    photo: Annotated[Path | None, typer.Option(help="photo to use instead of the sample")] = None,
    bpp: float = 0.024,
    pull: Annotated[bool, typer.Option(help="fetch what the encoder needs first")] = True,
) -> None:
    """Show the whole way of a photo."""
    out.mkdir(parents=True, exist_ok=True)
    source = photo or sample_photo()
    coded, decoded = out / "photo.misc", out / "decoded.png"
    if pull:
        misc("pull")
    misc("encode", source, coded, "--bpp", str(bpp))
    misc("decode", coded, decoded)
    facts = json.loads(misc("info", coded, "--text", "--json"))
    original, drawn = decode_image(source.read_bytes()).image, Image.open(decoded)
    figures = Reference(original, StLpips()).measure(drawn)
    table = Table("part", "bytes", title=f"{facts['width']}x{facts['height']}, {facts['bpp']:.4f} bpp")
    for name, size in facts["sections"].items():
        table.add_row(name, str(size))
    table.add_row("overhead", str(facts["overhead"]))
    table.add_row("whole file", str(facts["bytes"]))
    console = Console()
    console.print(table)
    text = facts.get("text", {"overall": "nothing", "items": []})
    console.print(f"text: {text['overall']}")
    for item in text["items"]:
        console.print(f"      {item['name']}: {item['detail']}")
    console.print(f"PSNR {figures['psnr']:.2f} dB, ST-LPIPS {figures['st_lpips']:.3f}")
    raw = 3 * facts["width"] * facts["height"]
    captions = (f"original, {raw:,} bytes of pixels", f"{facts['bytes']:,} bytes, {facts['bpp']:.4f} bpp")
    side_by_side(original, drawn, captions).save(out / "side_by_side.png")
    console.print(f"images side by side: {out / 'side_by_side.png'}")


if __name__ == "__main__":
    run_alone(main)
