"""A quarter of the size, a format of today, and Real-ESRGAN x4plus after it: an hour's work for a user."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from ...models.decoder.cascade_weights import load_x4plus
from ...models.decoder.upsampler import FACTOR, Upsampler
from ...profiles import load_profile
from .classical import Classical, enlarge, split_mark

__all__ = ["Upsampled"]

OVERLAP, TILE = 16, 256  # pixels of the small image


class Upsampled:
    """A classical codec at quarter size, drawn large by x4plus (Wang 2021, arXiv 2107.10833).

    Args:
        name: of `classical.FORMATS`.
        network: x4plus; the profile's package has it.

    Raises:
        InputError: the format is not installed.
        WeightsError: x4plus's weights are not here.
    """

    def __init__(self, name: str, network: Upsampler | None = None) -> None:
        self.small, self._network = Classical(name, FACTOR), network

    def encode(self, image: Image.Image, bpp: float) -> bytes:
        """The small image's file."""
        return self.small.encode(image, bpp)

    @torch.inference_mode()
    def decode(self, data: bytes) -> Image.Image:
        """The image, drawn large."""
        if self._network is None:
            self._network = load_x4plus(load_profile()).eval().requires_grad_(False)
        mark, data = split_mark(data)
        small = torch.from_numpy(np.array(self.small.open(data))).permute(2, 0, 1)[None].float() / 255
        drawn = (draw(self._network, small)[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0)
        return enlarge(Image.fromarray(drawn.numpy()), mark)


def draw(network: Upsampler, small: torch.Tensor) -> torch.Tensor:
    """(1, 3, 4 h, 4 w) of (1, 3, h, w) in [0, 1], in tiles that overlap, so that memory does not grow."""
    height, width = small.shape[2:]
    out = small.new_zeros(1, 3, height * FACTOR, width * FACTOR)
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            y, x = max(0, top - OVERLAP), max(0, left - OVERLAP)
            part = small[:, :, y : top + TILE + OVERLAP, x : left + TILE + OVERLAP]
            large = functional.interpolate(part, scale_factor=float(FACTOR))  # x4plus sees the mean of 4 x 4 pixels
            noise = part.new_zeros(1, 1, *part.shape[2:])
            done = network(large, part.new_zeros(1), noise)
            inner = done[:, :, (top - y) * FACTOR :, (left - x) * FACTOR :][:, :, : TILE * FACTOR, : TILE * FACTOR]
            out[:, :, top * FACTOR :, left * FACTOR :][:, :, : TILE * FACTOR, : TILE * FACTOR] = inner
    return out
