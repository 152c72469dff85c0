"""Closed-loop encoding: the encoder draws what the decoder would draw, and keeps what is most like the original.

    file ─► decoder.candidates ─► seeds ─► the same file with each ─► decoded ─► Likeness ─► the best file

Seeds are noises where a file has pixels. Where it has none, each names a photo of the memory. Those come in the order
of their structure's likeness to the original; the first are looked at as they lie in the memory, which takes a
fifteenth of the time, and the few that are most like the original then are drawn.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from .bits.streams import Streams, reseed
from .errors import WeightsError

if TYPE_CHECKING:
    from .codec import Codec
    from .models.semantics import Semantics

__all__ = ["DRAWN", "METRICS", "Likeness", "choose_seed", "settle"]

ROUGH, DRAWN = 20, 2  # candidates of a file without pixels that are looked at, and that are drawn
METRICS = ("vit_patch", "vit_mean", "clip")  # choose, and so are no fair report of what was chosen
GRID = 16


@runtime_checkable
class Rough(Protocol):
    """A decoder that knows roughly what it would draw of a file without pixels."""

    def rough(self, streams: Streams) -> npt.NDArray[np.uint8]:
        """(height, width, 3), of any size."""


class Likeness:
    """How much images are like one original: the sum of three cosines.

    Of ViT patch tokens (structure), of their means (content), and of CLIP embeddings.

    Args:
        semantics: whose vision tower and CLIP look.
        original: RGB.
    """

    def __init__(self, semantics: Semantics, original: Image.Image) -> None:
        self.semantics = semantics
        self.tokens, self.embedding = self.look(original)

    def look(self, image: Image.Image) -> tuple[Tensor, Tensor]:
        """Patch tokens (16, 16, 384) and embedding (256,) of an image."""
        from .models.towers.vision import patch_tokens, to_input  # seconds, which files with pixels need not wait for

        tokens = patch_tokens(self.semantics.tower, to_input(image, GRID, GRID)[None])
        with torch.inference_mode():
            embedding = self.semantics.clip_heads.encode_image(tokens.to(self.semantics.device))
        return tokens[0].cpu(), embedding[0].cpu()

    def cosines(self, image: Image.Image) -> dict[str, float]:
        """Each of the three by its name of METRICS, at most 1."""
        tokens, embedding = self.look(image)
        structure = functional.cosine_similarity(tokens, self.tokens, dim=-1).mean()
        content = functional.cosine_similarity(tokens.mean((0, 1)), self.tokens.mean((0, 1)), dim=0)
        return dict(zip(METRICS, map(float, (structure, content, embedding @ self.embedding)), strict=True))

    def score(self, image: Image.Image) -> float:
        """Their sum: at most 3, for the original itself."""
        return sum(self.cosines(image).values())


def choose_seed(codec: Codec, data: bytes, original: Image.Image, count: int, budget: int | None) -> bytes:
    """The same file with the seed whose image is most like the original.

    Args:
        codec: draws.
        data: a file of it, whose seed is 0.
        original: RGB, of the file's size.
        count: seeds that are tried, 2 or more.
        budget: bytes of the file, at most; a seed that does not fit is not tried.

    Raises:
        WeightsError: what draws or compares is not here.
    """
    likeness = Likeness(codec.semantics, original)
    content = codec.words_of(codec.streams(data))
    decoder = codec.decoder
    files = {seed: reseed(data, seed) for seed in decoder.candidates(content, count, likeness.tokens.numpy())}
    seeds = [seed for seed, file in files.items() if budget is None or len(file) <= budget]
    if content.pixels is None and isinstance(decoder, Rough):
        seeds = likeliest(decoder, content, seeds[:ROUGH], likeness)[:DRAWN]
    wanted = dict.fromkeys([data, *(files[seed] for seed in seeds)])
    return max(wanted, key=lambda file: likeness.score(codec.decode(file)))


def likeliest(decoder: Rough, content: Streams, seeds: Sequence[int], likeness: Likeness) -> list[int]:
    """Seeds of photos of the memory, in the order of their likeness as they lie there, the most alike first."""

    def score(seed: int) -> float:
        return likeness.score(Image.fromarray(decoder.rough(dataclasses.replace(content, seed=seed))))

    return sorted(seeds, key=score, reverse=True)


def settle(codec: Codec, data: bytes, content: Streams, budget: int | None) -> bytes:
    """The same file without pixels, which means one photo of the memory on every machine.

    Its seed becomes the number of the likeliest photo where floats might decide otherwise elsewhere. Where what finds
    photos is not here, or two bytes more are too many, the file stays as it is.

    Args:
        codec: draws.
        data: a file of it, whose seed is 0.
        content: the streams in it.
        budget: bytes of the file, at most.
    """
    if codec.profile.decoder is not None or codec.profile.cascade is None or content.text is None:
        return data
    try:
        settled = codec.decoder.settle(codec.words_of(content))
    except WeightsError:
        return data
    file = reseed(data, settled.seed)
    return file if budget is None or len(file) <= budget else data
