"""A quarter of the size, a format of today, and Real-ESRGAN x4plus after it: an hour's work for a user."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ...models.decoder.cascade_weights import load_x4plus
from ...models.decoder.sharpen import Sharpener
from ...models.decoder.upsampler import FACTOR
from ...profiles import load_profile
from .classical import Classical, enlarge, split_mark

__all__ = ["Upsampled", "upsample"]


class Upsampled:
    """A classical codec at quarter size, drawn large by x4plus (Wang 2021, arXiv 2107.10833).

    Args:
        name: of `classical.FORMATS`.
        x4plus: the network at work; the profile's package has it.

    Raises:
        InputError: the format is not installed.
        WeightsError: x4plus's weights are not here.
    """

    def __init__(self, name: str, x4plus: Sharpener | None = None) -> None:
        self.small, self._x4plus = Classical(name, FACTOR), x4plus

    def encode(self, image: Image.Image, bpp: float) -> bytes:
        """The small image's file; raises as `Classical.encode`."""
        return self.small.encode(image, bpp)

    def decode(self, data: bytes) -> Image.Image:
        """The image, drawn large; raises as `Classical.decode`."""
        if self._x4plus is None:
            self._x4plus = Sharpener(load_x4plus(load_profile()))
        mark, data = split_mark(data)
        return enlarge(upsample(self.small.open(data), self._x4plus), mark)


def upsample(small: Image.Image, x4plus: Sharpener) -> Image.Image:
    """An RGB image four times as wide and high; x4plus takes the means of 4 x 4 equal pixels."""
    repeated = np.asarray(small).repeat(FACTOR, 0).repeat(FACTOR, 1)
    return Image.fromarray(x4plus.draw(repeated, 255, 0))
