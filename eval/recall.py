"""Measure how similar the photos retrieved from the memory are to the original, without drawing them.

    python -m misc.eval.recall --data photos-00.tar --data boxes-00.tar [--limit N] [--json FILE]

Every image is described and located, and the memory is searched three times: with the overall sentence (as in `dlsvc`),
with the sentence and the item names (`text`), and also with regions (`text+map`). A row has means over the images of
two cosines: of CLIP's image embeddings, and of the ViT's 4 x 4 cells without their mean. Two more rows are a random
photo and the most similar photo by CLIP. Images that are in the memory are left out. The weights in
`misc.models.memory.search` were chosen with this measurement, so Kodak's photos are only for reporting.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ..bits.streams import Streams
from ..bits.text.description import Description
from ..cli.app import run_alone
from ..codec import Codec
from ..errors import DescriberError
from ..models.memory.recall import Recall
from ..models.memory.search import score_structure
from ..models.towers.look import Look
from .metrics.vision import Vision
from .photos import all_photos, open_photo

__all__ = ["look_up", "measure", "summarise"]

SAME = 0.97  # cosine of embeddings above which a photo of the memory is the image itself
STEPS = (("random", "dlsvc"), ("dlsvc", "text"), ("text", "text+map"))
Figures = dict[str, dict[str, float]]  # {row: {"clip": cosine, "structure": cosine}}


def look_up(recall: Recall, codec: Codec, look: Look, image: Image.Image) -> Figures:
    """Figures of the retrieved photos for an RGB image; no `text+map` without regions, empty if it is in the memory.

    Raises:
        DescriberError: the describer found no words.
    """
    memory = recall.memory
    likeness = memory.embeddings @ look.embedding.numpy()
    if likeness.max() > SAME:
        return {}
    structure = score_structure(memory, look.patches.numpy())
    text, regions = codec.see(image)
    asked = {"dlsvc": (Description(text.overall), None), "text": (text, None), "text+map": (text, regions)}
    found = {
        row: recall.find(Streams(image.width, image.height, 0, description, maps))
        for row, (description, maps) in asked.items()
        if row != "text+map" or (maps is not None and maps.masks.any())
    }
    found |= {"random": zlib.crc32(image.tobytes()) % len(memory), "likeliest": int(likeness.argmax())}
    return {row: {"clip": float(likeness[k]), "structure": float(structure[k])} for row, k in found.items()}


def summarise(images: Iterable[Figures]) -> dict[str, Any]:
    """Means of every row, and gains between rows over the images that have both, with standard errors."""
    known = [each for each in images if each]
    rows: dict[str, Any] = {}
    for row in dict.fromkeys(row for each in known for row in each):
        having = [each[row] for each in known if row in each]
        rows[row] = {"images": len(having)} | {k: float(np.mean([each[k] for each in having])) for k in having[0]}
    gains = {}
    for less, more in STEPS:
        pairs = [(each[less], each[more]) for each in known if less in each and more in each]
        for figure in ("clip", "structure"):
            more_of = [b[figure] - a[figure] for a, b in pairs]
            if len(more_of) > 1:
                error = float(np.std(more_of, ddof=1)) / math.sqrt(len(more_of))
                gains.setdefault(f"{less} to {more}", {})[figure] = {"gain": float(np.mean(more_of)), "error": error}
    return {"images": len(known), "rows": rows, "gains": gains}


def measure(data: list[Path], limit: int, profile: str) -> dict[str, Any]:
    """All figures of some folders and shards, at most `limit` images of each."""
    codec = Codec(profile)
    recall, vision = codec.decoder.recall, Vision(codec.semantics)
    images = []
    for path in data:
        for photo in track(all_photos(path)[:limit], path.name, transient=True):
            image = open_photo(photo)
            try:
                images.append(look_up(recall, codec, vision.look(image), image))
            except DescriberError:
                continue
    return {"data": [path.name for path in data]} | summarise(images)


def show(result: dict[str, Any], console: Console) -> None:
    """Print the table and the gains."""
    table = Table("found by", "images", "CLIP likeness", "structure", title=f"{result['images']} images")
    for name, row in result["rows"].items():
        table.add_row(name, str(row["images"]), f"{row['clip']:.4f}", f"{row['structure']:.4f}")
    console.print(table)
    for step, gains in result["gains"].items():
        for figure, gain in gains.items():
            console.print(f"{figure}, {step}: {gain['gain']:+.4f}, standard error {gain['error']:.4f}")


def main(
    data: Annotated[list[Path], typer.Option(help="folder or shard of images; may be given several times")],
    limit: Annotated[int, typer.Option(min=1, help="number of images of each, at most")] = 10_000,
    json_file: Annotated[Path | None, typer.Option("--json", help="file for the figures")] = None,
    profile: Annotated[str, typer.Option(help="profile whose memory is measured")] = "embedded",
) -> None:
    """Measure what the memory finds."""
    result = measure(data, limit, profile)
    show(result, Console())
    if json_file:
        json_file.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    run_alone(main)
