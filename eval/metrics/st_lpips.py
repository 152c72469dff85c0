"""ST-LPIPS, and PSNR beside it, of decoded images against one original."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ...images import psnr

__all__ = ["Reference", "StLpips", "mean_of"]


class StLpips:
    """Shift-tolerant LPIPS (Ghildyal & Liu 2022, arXiv 2207.13686): 0 for equal images, lower is better.

    Args:
        net: `alex`, which this project reports, or `vgg`, which it trains with.
    """

    def __init__(self, net: str = "alex") -> None:
        from stlpips_pytorch import stlpips

        model = stlpips.LPIPS(net=net, variant="shift_tolerant", verbose=False).eval()
        self.model = model.to(memory_format=torch.channels_last)  # a third faster on a CPU

    @torch.inference_mode()
    def features(self, image: Image.Image) -> list[Tensor]:
        """Unit-length features of every layer, each (1, C, H', W')."""
        pixels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)[None].float() / 127.5 - 1
        return [unit_length(x) for x in self.model.net(self.model.scaling_layer(pixels))]

    @torch.inference_mode()
    def distance(self, a: list[Tensor], b: list[Tensor]) -> float:
        """Distance of two images' features."""
        layers: list[Any] = self.model.lins[: len(a)]
        return sum(float(layer((x - y).square()).mean()) for layer, x, y in zip(layers, a, b, strict=True))


def unit_length(x: Tensor) -> Tensor:
    return x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10)


class Reference:
    """An original image for measuring several decoded ones."""

    def __init__(self, image: Image.Image, metric: StLpips) -> None:
        self.image = image.convert("RGB")
        self.metric = metric
        self._features = metric.features(self.image)

    def measure(self, decoded: Image.Image) -> dict[str, float]:
        """{"psnr": dB, "st_lpips": distance} of a decoded image of the same size."""
        distance = self.metric.distance(self._features, self.metric.features(decoded))
        return {"psnr": psnr(self.image, decoded), "st_lpips": distance}


def mean_of(rows: list[dict[str, float]]) -> dict[str, float]:
    """Mean of every figure over rows."""
    return {name: math.fsum(row[name] for row in rows) / len(rows) for name in rows[0]}
