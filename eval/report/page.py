"""The page: images side by side at equal rate, in one HTML file that works without a network."""

from __future__ import annotations

import base64
import html
import io
import json
from importlib import resources
from pathlib import Path
from typing import Any

from PIL import Image

from ...images import decode_image
from ..metrics.catalogue import METRICS
from ..store import OWN, Place, Store
from .results import Point, Results
from .tables import number

__all__ = ["page"]

QUALITY = 92
SHOWN = 8  # photos, so that the page stays small enough to open
TYPICAL = 0.024  # bits per pixel that are selected at first


def page(results: Results, folder: Path, tables: str, plots: dict[str, str], photos: int = SHOWN) -> str:
    """The whole page.

    Args:
        folder: of the run, with the images.
        tables: in Markdown.
        plots: {metric: SVG}.
        photos: largest number of photos.
    """
    labels = {rate for codec in results.codecs.values() for by_rate in codec.points.values() for rate in by_rate}
    rates = sorted(labels - {OWN}, key=float) or [OWN]
    typical = min(rates, key=lambda rate: 0 if rate == OWN else abs(float(rate) - TYPICAL))
    shown = [entry for photo in results.run["photos"] if (entry := photo_entry(results, folder, photo))][:photos]
    data = {"photos": shown, "rates": rates, "rate": typical}
    drawn = "\n".join(
        f'<div class="plot" role="img" aria-label="{html.escape(METRICS[name].what)} Rate on the log axis below.">'
        f"{svg[svg.index('<svg') :]}</div>"
        for name, svg in plots.items()
    )
    template = (resources.files(__package__) / "page.html").read_text(encoding="utf-8")
    for mark, value in (
        ("@TABLES@", to_html(tables)),
        ("@PLOTS@", drawn),
        ("@DATA@", json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")),
    ):
        template = template.replace(mark, value)
    return template


def photo_entry(results: Results, folder: Path, photo: str) -> dict[str, Any] | None:
    """A photo for the page, or None if no codec has decoded it."""
    store, images = Store(folder), []
    size = (0, 0)
    for name, codec in results.codecs.items():
        for rate, point in codec.points.get(photo, {}).items():
            image = Image.open(Place(str(store.codec(name) / rate / photo)).file("png")).convert("RGB")
            size = image.size
            images.append(entry(name, rate, point, photo, image))
    original = Path(results.run["paths"][photo])
    if not images or not original.is_file():
        return None
    src = source(decode_image(original.read_bytes()).image)
    first = {"codec": "original", "facts": photo, "src": src, "alt": f"Original of {photo}"}
    return {"name": photo, "width": size[0], "height": size[1], "original": first, "images": images}


def entry(codec: str, rate: str, point: Point, photo: str, image: Image.Image) -> dict[str, Any]:
    """One decoded image for the page."""
    figures = ", ".join(f"{METRICS[name].label} {number(value, METRICS[name])}" for name, value in point.values.items())
    facts = f"{1e6 * point.bpp:.0f} µbpp, {point.bytes} bytes, {figures}"
    text, items = point.content.get("text", ""), point.content.get("items", [])
    alt = f"{photo} by {codec} at {1e6 * point.bpp:.0f} µbpp{f', described as: {text}' if text else ''}"
    place = {"codec": codec, "rate": rate, "facts": facts, "alt": alt, "text": text, "items": items}
    return {**place, "src": source(image)}


def source(image: Image.Image) -> str:
    """An image as a data URL."""
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def to_html(tables: str) -> str:
    """Headings, lists and tables of Markdown as HTML; the report's Markdown has nothing else."""
    out: list[str] = []
    rows: list[str] = []
    for line in [*tables.splitlines(), ""]:
        if line.startswith("| ---"):
            continue
        if line.startswith("|"):
            kind = "td" if rows else "th"
            cells = "".join(f"<{kind}>{html.escape(cell.strip())}</{kind}>" for cell in line.strip("| ").split(" | "))
            rows.append(f"<tr>{cells}</tr>")
            continue
        if rows:
            out.append(f"<table>{''.join(rows)}</table>")
            rows = []
        if line.startswith("#"):
            out.append(f"<h3>{html.escape(line.lstrip('# '))}</h3>")
        elif line:
            out.append(f"<p>{html.escape(line.removeprefix('- '))}</p>")
    return "\n".join(out)
