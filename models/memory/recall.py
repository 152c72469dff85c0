"""From a file without pixels to a draft: a photo of the memory, selected by the seed or by the text.

    seed 0 ─► the likeliest photo by text and regions ─┐
    seed k ─► photo k - 1 ─────────────────────────────┴─► its latents ─► hyperprior ─► cut to shape ─► draft

The number of a photo means the same photo on every machine. The likeliest photo depends on floats, so the encoder
writes its number if the first two are nearly equal (`Recall.settle`).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image
from torch import Tensor

from ...bits.pixels.latents import PixelLatents, unpack
from ...bits.streams import Streams
from ...bits.text.description import Description
from ...errors import WeightsError
from ..hyperprior.hyperprior import Hyperprior
from ..image_tensors import Pixels
from .search import order, score, score_structure
from .store import Floats, Memory

__all__ = ["Recall", "prompts"]

NATIVE = 768  # longest side of a draft, in pixels; larger images are enlarged from it
MARGIN = 1e-3  # two photos are nearly equal if their expected similarities differ by less

Embed = Callable[[Sequence[str]], Tensor]


class Recall:
    """Selects photos of a memory and decodes them.

    Args:
        memory: from `load_memory`.
        hyperprior: decodes its photos.
        embed: texts to CLIP embeddings (texts, 256); called only if a file's text selects the photo.

    Raises:
        WeightsError: the memory was made with another hyperprior.
    """

    def __init__(self, memory: Memory, hyperprior: Hyperprior, embed: Embed) -> None:
        if memory.checksum != hyperprior.entropy_model.checksum:
            raise WeightsError("the memory was made with another hyperprior than the profile's")
        self.memory, self.hyperprior, self.embed = memory, hyperprior, embed

    def draft(self, streams: Streams) -> Pixels:
        """The draft of a file without pixels, (height, width, 3) uint8; its longer side has at most 768 pixels."""
        return self.photo(self.find(streams), streams.width, streams.height)

    def find(self, streams: Streams) -> int:
        """Number of the photo that a file selects."""
        if 0 < streams.seed <= len(self.memory):
            return streams.seed - 1
        return int(order(self.scores(streams))[0])

    def scores(self, streams: Streams) -> Floats:
        """(photos,) expected similarity of each photo to the original, given a file's text and regions."""
        whole, names = prompts(streams.text or Description())
        embedded = self.embed([whole, *names]).float().cpu().numpy()
        return score(self.memory, embedded[0], embedded[1:], streams.regions)

    def candidates(self, streams: Streams, count: int, tokens: Floats | None = None) -> list[int]:
        """Seeds of the `count` likeliest photos.

        Args:
            tokens: (rows, columns, 384) of the vision tower for the original; if given, the seeds are sorted by
                similarity to the original, otherwise the likeliest by text come first.
        """
        photos = order(self.scores(streams))[:count]
        if tokens is not None:
            photos = photos[np.argsort(-score_structure(self.memory, tokens)[photos], kind="stable")]
        return [int(photo) + 1 for photo in photos]

    def settle(self, streams: Streams) -> Streams:
        """The same streams; the likeliest photo's number becomes the seed if another machine might select another."""
        if streams.seed or streams.pixels is not None:
            return streams
        scores = self.scores(streams)
        first, second = order(scores)[:2]
        if scores[first] - scores[second] >= MARGIN:
            return streams
        return dataclasses.replace(streams, seed=int(first) + 1)

    def photo(self, number: int, width: int, height: int) -> Pixels:
        """A photo of the memory, cropped to the aspect ratio of width x height, at most 768 pixels long."""
        own_width, own_height = (int(side) for side in self.memory.sizes[number])
        latents: PixelLatents = unpack(
            self.memory.latents[number], own_width, own_height, self.hyperprior.entropy_model
        )
        image = Image.fromarray(self.hyperprior.synthesise(latents, own_width, own_height))
        ratio = min(1.0, NATIVE / max(width, height))
        size = tuple(max(1, math.floor(side * ratio + 0.5)) for side in (width, height))
        scale = min(own_width / width, own_height / height)
        left, top = max(0.0, (own_width - scale * width) / 2), max(0.0, (own_height - scale * height) / 2)
        box = (left, top, min(own_width, left + scale * width), min(own_height, top + scale * height))
        return np.array(image.resize((size[0], size[1]), Image.Resampling.BICUBIC, box))


def prompts(description: Description) -> tuple[str, list[str]]:
    """The prompt of the whole, and the name of every item."""
    return description.whole(), [item.name for item in description.items]
