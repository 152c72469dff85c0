"""CompressAI's models, if torch's cache has their weights: the highest quality whose file fits the budget.

    file: height, width (u16 each), quality (u8), rows, columns of z (u16 each), length of y (u32), y, z

The tables of these models are computed from floats at loading, so a file can be decoded only on machines with equal
tables.
"""

from __future__ import annotations

import struct
from functools import cache
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch.nn import functional

from ...errors import BitstreamError, BudgetError, WeightsError
from ...models.image_tensors import to_pixels, to_tensor

__all__ = ["Neural", "weights_of"]

HEADER = struct.Struct("<HHBHHI")
MULTIPLE = 64  # the models need sides that are multiples of this
METRIC = "mse"


def weights_of(name: str) -> dict[int, Path]:
    """{quality: file} of a model of CompressAI's zoo, for the weights in torch's cache."""
    from compressai.zoo.image import model_urls

    urls = model_urls.get(name, {}).get(METRIC, {})
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    return {int(q): folder / Path(url).name for q, url in urls.items() if (folder / Path(url).name).is_file()}


class Neural:
    """One architecture of CompressAI's zoo.

    Args:
        name: such as `bmshj2018-hyperprior`.

    Raises:
        WeightsError: torch's cache has none of its weights.
    """

    def __init__(self, name: str) -> None:
        self.name, self.qualities = name, sorted(weights_of(name))
        if not self.qualities:
            raise WeightsError(f"CompressAI's {name} has no weights in torch's cache")
        self.network = cache(self.load)

    def load(self, quality: int) -> Any:
        """The network of a quality, with its tables."""
        from compressai.zoo import image_models

        network = image_models[self.name](quality, METRIC, pretrained=True).eval()
        network.update()
        return network

    @torch.inference_mode()
    def encode(self, image: Image.Image, bpp: float) -> bytes:
        """The file of the highest quality within the budget.

        Raises:
            BudgetError: the lowest quality's file is larger.
        """
        budget = int(bpp * image.width * image.height / 8)
        pixels = to_tensor(image)
        padding = (0, -image.width % MULTIPLE, 0, -image.height % MULTIPLE)
        best = data = b""
        for quality in self.qualities:
            coded = self.network(quality).compress(functional.pad(pixels, padding, mode="replicate"))
            (y,), (z,) = coded["strings"]
            data = HEADER.pack(image.height, image.width, quality, *coded["shape"], len(y)) + y + z
            if len(data) > budget:
                break
            best = data
        if not best:
            raise BudgetError(f"the smallest file of this image has {len(data)} bytes; {budget} were allowed")
        return best

    @torch.inference_mode()
    def decode(self, data: bytes) -> Image.Image:
        """The image of a file."""
        if len(data) < HEADER.size:
            raise BitstreamError("the file is too short")
        height, width, quality, rows, columns, length = HEADER.unpack_from(data)
        if quality not in self.qualities:
            raise BitstreamError(f"the file is of quality {quality}, whose weights are not here")
        y, z = data[HEADER.size :][:length], data[HEADER.size + length :]
        drawn = self.network(quality).decompress([[y], [z]], (rows, columns))["x_hat"][0, :, :height, :width]
        return Image.fromarray(to_pixels(drawn))
