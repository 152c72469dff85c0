"""Write the conformance files again: python -m tests.golden.make. They change only with the format's version."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from misc.bits import streams
from misc.bits.pixels import entropy_model
from misc.bits.regions.maps import RegionMaps
from misc.bits.streams import ExactModels, Streams
from misc.bits.text.description import Description, Item, to_json

FOLDER = Path(__file__).parent
MODEL = FOLDER / "model.safetensors"
TEXT = Description(
    "a red lighthouse on a rocky shore at dusk",
    (Item("lighthouse", "red and white, lit"), Item("sea", "calm"), Item("côte rocheuse")),
)


def drawn(*items: str) -> RegionMaps:
    """Maps of items whose rows are words of # and dots."""
    return RegionMaps(np.array([[[cell == "#" for cell in row] for row in item.split()] for item in items]))


BLOBS = drawn(
    "........ ...##... ...##... ...##... ...##... ..####.. ..####.. ........",
    "........ ........ ........ ........ ##....## ###..### ######## ########",
    "........ ........ ........ #....... ##...... ##....## #####.## ########",
)


def noise(items: int, rows: int, columns: int) -> RegionMaps:
    """Maps without any order, from a linear congruential generator; the first is empty, the second full."""
    state, cells = 1, []
    for _ in range(items * rows * columns):
        state = (state * 1_103_515_245 + 12_345) % (1 << 31)
        cells.append(state >> 30 == 1)
    masks = np.array(cells).reshape(items, rows, columns)
    masks[0], masks[1] = False, True
    return RegionMaps(masks)


def facts(content: Streams) -> dict[str, object]:
    """What a reader must find in a file."""
    found: dict[str, object] = {
        "width": content.width,
        "height": content.height,
        "seed": content.seed,
        "text": to_json(content.text) if content.text else None,
        "pixels": hashlib.sha256(content.pixels.symbols()).hexdigest() if content.pixels else None,
    }
    if content.regions is not None:
        found["regions"] = hashlib.sha256(content.regions.symbols()).hexdigest()
    return found


def main() -> None:
    from misc.models.hyperprior.weights import save_hyperprior
    from tests.support.models import random_latents, tiny_hyperprior

    save_hyperprior(tiny_hyperprior(), MODEL)
    model = entropy_model.load(MODEL)
    models = ExactModels(model)
    contents = {
        "text": Streams(1024, 1024, 0, TEXT),
        "pixels": Streams(160, 96, pixels=random_latents(model, 160, 96)),
        "text_pixels": Streams(301, 211, 12345, TEXT, pixels=random_latents(model, 301, 211, seed=1, quality=255)),
        "escapes": Streams(33, 64, pixels=random_latents(model, 33, 64, seed=2, spread=500, quality=0)),
        "one_pixel": Streams(1, 1, 0, Description("dot"), pixels=random_latents(model, 1, 1)),
        "text_regions": Streams(1024, 1024, 0, TEXT, BLOBS),
        "regions": Streams(1025, 300, regions=noise(3, 16, 55)),
        "regions_raw": Streams(64, 128, regions=RegionMaps(noise(4, 8, 4).masks[2:])),
        "regions_12": Streams(640, 480, regions=noise(2, 12, 16)),
        "consonants": Streams(768, 512, 0, Description("ct n bnch", consonants=True)),
        "letters": Streams(768, 512, 0, Description("a cat on a bench")),
        "all": Streams(64, 64, 9, TEXT, BLOBS, random_latents(model, 64, 64, seed=3)),
    }
    for name, content in contents.items():
        (FOLDER / f"{name}.misc").write_bytes(streams.encode(content, models))
    expected = {name: facts(content) for name, content in contents.items()}
    (FOLDER / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
