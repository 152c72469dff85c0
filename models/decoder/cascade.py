"""The embedded decoder: a draft, drawn large and sharp by the upsampler.

    pixels ─► hyperprior ─► draft ──────────────────────┐
    text, regions, seed ─► memory ─► a photo's draft ───┴─► Sharpener ─► image
    seed ─────────────────────────────────────► noise ──┘

With pixels the draft is the file's own, and text and regions do not change the image. Without pixels they select a
photo of the memory. Draws what `misc.models.decoder.decoder.Decoder` draws, with the same calls.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from ...bits.streams import Streams
from ...decoder_profile import SamplingChanges
from ...errors import InputError, WeightsError
from ..image_tensors import Pixels
from ..memory.recall import Recall
from ..memory.store import Floats
from .scene import Scene
from .sharpen import Sharpener

__all__ = ["Cascade"]

MEMORY_QUALITY = 102  # what the upsampler is told of a memory's draft, which is enlarged and so blurred; 0 to 255


class Cascade:
    """Draws scenes with an upsampler and, where there are no pixels, a memory.

    Args:
        sharpener: the upsampler at work; this and the memory are called when a scene first needs them.
        recall: the memory at work.
    """

    def __init__(self, sharpener: Callable[[], Sharpener], recall: Callable[[], Recall] | None = None) -> None:
        self.sharpener, self._recall = sharpener, recall

    @property
    def recall(self) -> Recall:
        """The memory at work.

        Raises:
            WeightsError: the profile has none.
        """
        if self._recall is None:
            raise WeightsError("this profile has no memory to draw a file without pixels from")
        return self._recall()

    def draw_many(
        self,
        scenes: Sequence[Scene],
        *,
        progress: Callable[[int, int], None] | None = None,
        changes: SamplingChanges | None = None,
    ) -> list[Pixels]:
        """Images of scenes, each (height, width, 3) uint8, one after another.

        Args:
            scenes: streams, each with its draft if it has pixels.
            progress: called with the images done and all images.
            changes: of a sampling, which this decoder does not have.

        Raises:
            InputError: there are changes.
        """
        if changes is not None and changes.values():
            raise InputError(f"the embedded decoder has no {', '.join(changes.values())} to choose")
        images = []
        for done, scene in enumerate(scenes):
            images.append(self.draw(scene))
            if progress is not None:
                progress(done + 1, len(scenes))
        return images

    def draw(self, scene: Scene) -> Pixels:
        """The image of a scene, (height, width, 3) uint8; the same bytes each time on one machine.

        Raises:
            WeightsError: the scene has no pixels, and the memory or what finds photos in it is not here.
        """
        streams = scene.streams
        if scene.draft is not None and streams.pixels is not None:
            return self.sharpener().draw(scene.draft, streams.pixels.quality, streams.seed)
        draft = self.recall.draft(streams)
        drawn = self.sharpener().draw(draft, MEMORY_QUALITY, streams.seed or text_seed(streams))
        if drawn.shape[:2] == (streams.height, streams.width):
            return drawn
        resized = Image.fromarray(drawn).resize((streams.width, streams.height), Image.Resampling.LANCZOS)
        return np.array(resized)

    def candidates(self, streams: Streams, count: int, tokens: Floats | None = None) -> list[int]:
        """Seeds that an encoder may try: noises where there are pixels, else the likeliest photos of the memory.

        Args:
            streams: what the file holds.
            count: number of seeds.
            tokens: (rows, columns, 384) of the vision tower, of the image that is encoded; photos like it come first.
        """
        if streams.pixels is not None:
            return list(range(count))
        return self.recall.candidates(streams, count, tokens)

    def rough(self, streams: Streams) -> Pixels:
        """The photo of the memory that a file without pixels is drawn from, (height, width, 3), before it is sharp."""
        return self.recall.draft(streams)

    def settle(self, streams: Streams) -> Streams:
        """Streams without pixels whose photo is the same on every machine."""
        return self.recall.settle(streams)

    def reseed(self, streams: Streams, seed: int) -> Streams:
        """Streams for another image of the same file: other noise, or without pixels the next likeliest photo.

        Args:
            streams: what the file holds.
            seed: of the noise; without pixels, 0 for the likeliest photo, 1 for the next.

        Raises:
            InputError: the memory has fewer photos.
        """
        if streams.pixels is not None:
            return dataclasses.replace(streams, seed=seed)
        if not 0 <= seed < len(self.recall.memory):
            count = len(self.recall.memory)
            raise InputError(f"the memory has {count} photos: the seed is 0 to {count - 1}, not {seed}")
        return dataclasses.replace(streams, seed=self.recall.candidates(streams, seed + 1)[seed])


def text_seed(streams: Streams) -> int:
    """A seed that differs from text to text."""
    return zlib.crc32(streams.text.symbols()) if streams.text else 0
