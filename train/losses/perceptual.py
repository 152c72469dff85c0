"""ST-LPIPS with the `vgg` trunk (Ghildyal & Liu 2022, arXiv 2207.13686) as a loss; metrics report the `alex` trunk."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["perceptual_distance", "st_lpips"]


def st_lpips(device: torch.device) -> nn.Module:
    """The network, frozen: (photos, drawn, normalize=True) -> distances (B, 1, 1, 1) of images in [0, 1]."""
    from stlpips_pytorch import stlpips

    metric: nn.Module = stlpips.LPIPS(net="vgg", variant="shift_tolerant", verbose=False)
    return metric.to(device, memory_format=torch.channels_last).requires_grad_(False)


def perceptual_distance(metric: nn.Module, drawn: Tensor, photos: Tensor, size: int, count: int) -> Tensor:
    """Distances (B,) of images, from one random crop of the first `count`; the others get their mean.

    Args:
        metric: from `st_lpips`.
        drawn, photos: (B, 3, H, W) in [0, 1].
        size: side of the crop in pixels.
        count: number of images that are compared, from the first.
    """
    top, left = (int(torch.randint(0, side - size + 1, ())) for side in photos.shape[2:])
    window = (slice(count), slice(None), slice(top, top + size), slice(left, left + size))
    some: Tensor = metric(photos[window], drawn[window], normalize=True).flatten().float()
    padding = some.detach().mean().expand(photos.shape[0] - some.shape[0])
    return torch.cat([some, padding])
