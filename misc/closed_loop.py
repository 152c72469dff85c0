"""Closed-loop encoding: the encoder draws what the decoder would draw, and keeps what is most like its photo.

    streams ─► decoder.candidates ─► seeds ─► drawn, some of them ─► Likeness to the photo ─► the best seed, in the file

Seeds are noises where a file has pixels. Where it has none, each names a photo of the memory; those come in the order of
their structure's likeness to the photo, so that few of them have to be drawn.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from .bits.streams import Streams
from .models.towers.vision import patch_tokens, to_input

if TYPE_CHECKING:
    from .models.semantics import Semantics

__all__ = ["DRAWN", "Likeness", "choose_best"]

DRAWN = 4  # candidates of a file without pixels that are drawn
GRID = 16


class Likeness:
    """How much images are like one photo: the sum of two cosines, of ViT patch tokens and of CLIP embeddings.

    Args:
        semantics: whose vision tower and CLIP look. photo: RGB.
    """

    metrics = ("vit_patch", "clip")

    def __init__(self, semantics: Semantics, photo: Image.Image) -> None:
        self.semantics = semantics
        self.tokens, self.embedding = self.look(photo)

    def look(self, image: Image.Image) -> tuple[Tensor, Tensor]:
        """Patch tokens (16, 16, 384) and embedding (256,) of an image."""
        tokens = patch_tokens(self.semantics.tower, to_input(image, GRID, GRID)[None])
        with torch.inference_mode():
            embedding = self.semantics.clip_heads.encode_image(tokens)
        return tokens[0], embedding[0]

    def score(self, image: Image.Image) -> float:
        """At most 2, for the photo itself."""
        tokens, embedding = self.look(image)
        structure = functional.cosine_similarity(tokens, self.tokens, dim=-1).mean()
        return float(structure + embedding @ self.embedding)


def choose_best(
    content: Streams, seeds: Iterable[int], draw: Callable[[Streams], Image.Image], likeness: Likeness
) -> Streams:
    """The streams with the seed whose image is most like the photo; the first of equal ones.

    Args:
        content: what is written but for its seed. seeds: at least one. draw: gives the image of streams.
    """
    tried = [dataclasses.replace(content, seed=seed) for seed in seeds]
    if len(tried) == 1:
        return tried[0]
    return max(tried, key=lambda streams: likeness.score(draw(streams)))
