"""Closed-loop encoding: the encoder draws candidates as the decoder would, and keeps the most similar to the original.

    file ─► decoder.candidates ─► seeds ─► the same file with each ─► decoded ─► Likeness ─► the best file

If a file has pixels, a seed selects the decoder's noise. If it has none, a seed selects a photo of the memory. These
photos are sorted by the similarity of their structure to the original. The first ROUGH are compared as stored in the
memory, which takes a fifteenth of the time of drawing. The DRAWN most similar ones are then drawn and compared again.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from PIL import Image

from .bits.streams import Streams, reseed
from .errors import WeightsError

if TYPE_CHECKING:
    from .codec import Codec
    from .models.semantics import Semantics
    from .models.towers.look import Look

__all__ = ["DRAWN", "METRICS", "Likeness", "choose_seed", "settle"]

ROUGH, DRAWN = 20, 2  # candidates of a file without pixels: how many are compared as stored, how many are drawn
METRICS = ("vit_patch", "vit_mean", "clip")  # these choose the file, so they are not a fair measure of it


@runtime_checkable
class Rough(Protocol):
    """A decoder that can preview a file without pixels at low cost."""

    def rough(self, streams: Streams) -> npt.NDArray[np.uint8]:
        """(height, width, 3), of any size."""


class Likeness:
    """Similarity of images to one original: the sum of three cosine similarities.

    They are those of the ViT patch tokens (structure), of their means (content), and of the CLIP embeddings.

    Args:
        semantics: gives the vision tower and the CLIP.
        original: RGB.
    """

    def __init__(self, semantics: Semantics, original: Image.Image) -> None:
        from .models.towers.look import look_at  # slow to import, and not needed for files with pixels

        self.look: Callable[[Image.Image], Look] = functools.partial(look_at, semantics=semantics)
        self.original = self.look(original)

    def cosines(self, image: Image.Image) -> dict[str, float]:
        """The three cosines by their names in METRICS, each at most 1."""
        seen, original = self.look(image), self.original
        figures = (seen.structure(original), seen.content(original), seen.clip(original))
        return dict(zip(METRICS, figures, strict=True))

    def score(self, image: Image.Image) -> float:
        """Sum of the three cosines; 3 for the original itself."""
        return sum(self.cosines(image).values())


def choose_seed(codec: Codec, data: bytes, original: Image.Image, count: int, budget: int | None) -> bytes:
    """The same file with the seed whose image is most similar to the original.

    Args:
        codec: draws the candidates.
        data: a file of the codec with seed 0.
        original: RGB, of the file's size.
        count: number of seeds to try, 2 or more.
        budget: bytes of the file, at most; a seed that does not fit is not tried.

    Raises:
        WeightsError: weights for drawing or comparing are missing.
    """
    likeness = Likeness(codec.semantics, original)
    content = codec.words_of(codec.streams(data))
    decoder = codec.decoder
    files = {seed: reseed(data, seed) for seed in decoder.candidates(content, count, likeness.original.patches.numpy())}
    seeds = [seed for seed, file in files.items() if budget is None or len(file) <= budget]
    if content.pixels is None and isinstance(decoder, Rough):
        seeds = likeliest(decoder, content, seeds[:ROUGH], likeness)[:DRAWN]
    wanted = dict.fromkeys([data, *(files[seed] for seed in seeds)])
    return max(wanted, key=lambda file: likeness.score(codec.decode(file)))


def likeliest(decoder: Rough, content: Streams, seeds: Sequence[int], likeness: Likeness) -> list[int]:
    """Seeds of photos of the memory, sorted by their similarity as stored there, the most similar first."""

    def score(seed: int) -> float:
        return likeness.score(Image.fromarray(decoder.rough(dataclasses.replace(content, seed=seed))))

    return sorted(seeds, key=score, reverse=True)


def settle(codec: Codec, data: bytes, content: Streams, budget: int | None) -> bytes:
    """The same file without pixels, changed so that it means the same photo of the memory on every machine.

    If another machine's float rounding could select another photo, the seed becomes the number of the likeliest photo.
    The file stays unchanged if the weights for the search are missing, or if it has no room for two more bytes.

    Args:
        codec: finds the photo.
        data: a file of the codec with seed 0.
        content: its streams.
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
