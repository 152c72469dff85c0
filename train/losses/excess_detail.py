"""A loss for texture that the photo does not have: grain or weave that a discriminator leaves in flat areas."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

__all__ = ["excess_detail"]

WINDOW = 8  # pixels a side in which detail is summed up
LEAST = 0.01  # added to the photo's detail, so that an area without any does not count for everything


def excess_detail(drawn: Tensor, photos: Tensor) -> Tensor:
    """How much more fine detail windows of drawn images have than the photos', relative to the photos' own.

    Args:
        drawn, photos: (B, 3, H, W) in [0, 1]; H and W are at least 8.
    """
    own, wanted = detail(drawn), detail(photos)
    return (functional.relu(own - wanted) / (wanted + LEAST)).mean()


def detail(images: Tensor) -> Tensor:
    """Mean size of what is finer than 3 pixels, in each window: (B, 1, H / 8, W / 8)."""
    fine = images - functional.avg_pool2d(images, 3, 1, 1, count_include_pad=False)
    return functional.avg_pool2d(fine.abs().mean(1, keepdim=True), WINDOW)
