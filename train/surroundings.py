"""Measure the cosine of each phrase for a place with the memory's photos: models/describer/surroundings.tsv.

    python -m misc.train.surroundings

A line has a phrase, and the mean and standard deviation of its cosine with the photos' embeddings. Add new phrases to
the table by hand, with any two numbers after them, then run this script. Run it again if the embedded CLIP or the
memory changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..cli.app import run_alone
from ..codec import Codec
from ..models.describer.surroundings import Embed, Floats, Surroundings, read_surroundings

__all__ = ["measure", "write"]


def measure(phrases: Sequence[str], photos: Floats, embed: Embed) -> list[Surroundings]:
    """Every phrase with the mean and the deviation of its cosines.

    Args:
        photos: (photos, 256) embeddings; they are normalised to length 1.
        embed: texts to embeddings (texts, 256) of length 1.
    """
    directions = photos / np.linalg.norm(photos, axis=1, keepdims=True)
    cosines = directions @ embed(phrases).float().cpu().numpy().T
    return [
        Surroundings(phrase, float(mean), float(deviation))
        for phrase, mean, deviation in zip(phrases, cosines.mean(0), cosines.std(0), strict=True)
    ]


def write(phrases: Sequence[Surroundings], path: Path) -> None:
    """Write the table."""
    lines = [f"{each.phrase}\t{each.mean:.4f}\t{each.deviation:.4f}\n" for each in phrases]
    path.write_text("".join(lines), "utf-8")


def main() -> None:
    """Measure the phrases of the table again."""
    codec = Codec()
    measured = measure(
        [each.phrase for each in read_surroundings()],
        codec.decoder.recall.memory.embeddings,
        codec.semantics.embed_texts,
    )
    write(measured, Path(__file__).parents[1] / "models" / "describer" / "surroundings.tsv")


if __name__ == "__main__":
    run_alone(main)
