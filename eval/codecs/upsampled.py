"""A simple baseline: a classical format at a quarter of the size, enlarged by Real-ESRGAN x4plus."""

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
    """A classical codec at a quarter of the size, enlarged by x4plus (Wang 2021, arXiv 2107.10833).

    Args:
        name: of `classical.FORMATS`.
        x4plus: the network, from the profile's package.

    Raises:
        InputError: the format is not installed.
        WeightsError: x4plus's weights are missing.
    """

    def __init__(self, name: str, x4plus: Sharpener | None = None) -> None:
        self.small, self._x4plus = Classical(name, FACTOR), x4plus

    def encode(self, image: Image.Image, bpp: float) -> bytes:
        """The small image's file; raises as `Classical.encode`."""
        return self.small.encode(image, bpp)

    def decode(self, data: bytes) -> Image.Image:
        """The enlarged image; raises as `Classical.decode`."""
        if self._x4plus is None:
            self._x4plus = Sharpener(load_x4plus(load_profile()))
        mark, data = split_mark(data)
        return enlarge(upsample(self.small.open(data), self._x4plus), mark)


def upsample(small: Image.Image, x4plus: Sharpener) -> Image.Image:
    """An RGB image enlarged four times: x4plus reduces its input by four first, so each pixel is repeated."""
    repeated = np.asarray(small).repeat(FACTOR, 0).repeat(FACTOR, 1)
    return Image.fromarray(x4plus.draw(repeated, 255, 0))
