"""What is lost in the pixel stream: the draft's squared error, and its distance in the features of a classifier."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ..half_precision import half_precision
from ..towers.efficientnet import LAST_AT_EACH_SIZE, EfficientNetLite, normalise

__all__ = ["LAMBDA_HIGH", "FeatureDistance", "squared_error", "trade_off"]

LAMBDA_LOW, LAMBDA_HIGH = 4e-6, 2e-3
QUARTER = 4
HALF = 2  # at half of the image's size the features are as good, and take a quarter of the time
LEAST_LENGTH = 1e-3  # of a feature vector, so that it can be divided by


def trade_off(quality: Tensor) -> Tensor:
    """Weight (B,) of the squared error in 8-bit units against bits per pixel, at qualities (B,) in [0, 1]."""
    return LAMBDA_LOW * (LAMBDA_HIGH / LAMBDA_LOW) ** quality


def squared_error(drawn: Tensor, x: Tensor, quarter: float) -> Tensor:
    """Mean squared error (B,) in 8-bit units of images (B, 3, H, W) in [0, 1].

    `quarter` is the share of the error, 0 to 1, that is computed at a quarter of the size.
    """
    error = drawn - x
    whole = error.square().flatten(1).mean(1) * 255**2
    if not quarter:
        return whole
    small = functional.avg_pool2d(error, QUARTER, ceil_mode=True).square().flatten(1).mean(1) * 255**2
    return (1 - quarter) * whole + quarter * small


class FeatureDistance:
    """Distance of drafts from their images in a classifier's features, as LPIPS (Zhang 2018, arXiv 1801.03924) without
    its learned weights: the squared difference of unit vectors, mean over positions and stages, 0 to 4.

    Args:
        network: the classifier, frozen.
        images: (B, 3, H, W) in [0, 1].
    """

    def __init__(self, network: EfficientNetLite, images: Tensor) -> None:
        self.network = network
        with torch.no_grad():
            self.features = self._features(images)

    def __call__(self, drawn: Tensor) -> Tensor:
        """The distances (B,) of drafts (B, 3, H, W)."""
        pairs = zip(self.features, self._features(drawn.clamp(0, 1)), strict=True)
        return torch.stack([(one - other).square().sum(1).mean((1, 2)) for one, other in pairs]).mean(0)

    def _features(self, images: Tensor) -> list[Tensor]:
        """Unit vectors (B, C, h, w) of every stage."""
        small = functional.avg_pool2d(images, HALF, ceil_mode=True)
        pixels = normalise(small).contiguous(memory_format=torch.channels_last)
        with half_precision(images.device):
            maps = self.network.maps(pixels, LAST_AT_EACH_SIZE)
        return [each.float() / (each.float().norm(dim=1, keepdim=True) + LEAST_LENGTH) for each in maps]
