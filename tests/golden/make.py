"""Write the conformance files again: python -m tests.golden.make. They change only with the format's version."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from misc.bits import latents, streams
from misc.bits.description import Description, Item, to_json
from misc.bits.streams import Streams

FOLDER = Path(__file__).parent
MODEL = FOLDER / "model.safetensors"
TEXT = Description(
    "a red lighthouse on a rocky shore at dusk",
    (Item("lighthouse", "red and white, lit"), Item("sea", "calm"), Item("côte rocheuse")),
)


def facts(content: Streams) -> dict[str, object]:
    """What a reader must find in a file."""
    return {
        "width": content.width,
        "height": content.height,
        "seed": content.seed,
        "text": to_json(content.text) if content.text else None,
        "pixels": hashlib.sha256(content.pixels.symbols()).hexdigest() if content.pixels else None,
    }


def main() -> None:
    from misc.models.hyperprior_weights import save_hyperprior

    from tests.conftest import random_latents, tiny_hyperprior

    save_hyperprior(tiny_hyperprior(), MODEL)
    model = latents.load(MODEL)
    contents = {
        "text": Streams(1024, 1024, 0, TEXT),
        "pixels": Streams(160, 96, 0, None, random_latents(model, 160, 96)),
        "text_pixels": Streams(301, 211, 12345, TEXT, random_latents(model, 301, 211, seed=1, quality=255)),
        "escapes": Streams(33, 64, 0, None, random_latents(model, 33, 64, seed=2, spread=500, quality=0)),
        "one_pixel": Streams(1, 1, 0, Description("dot"), random_latents(model, 1, 1)),
    }
    for name, content in contents.items():
        (FOLDER / f"{name}.misc").write_bytes(streams.encode(content, model))
    expected = {name: facts(content) for name, content in contents.items()}
    (FOLDER / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
