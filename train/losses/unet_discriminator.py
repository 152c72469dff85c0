"""A U-Net discriminator: for each pixel, does it come from a photo, given the draft?

Real-ESRGAN's discriminator has spectral norm and needs many thousands of steps before it is useful. This one has group
norm, which suits a short run. Sources: Schonfeld 2020 (arXiv 2002.12655), Wang 2021 (arXiv 2107.10833).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["UNetDiscriminator"]

SLOPE = 0.2
GROUPS = 8


def layer(before: int, after: int, kernel: int, stride: int) -> nn.Module:
    """A convolution and a group norm."""
    return nn.Sequential(nn.Conv2d(before, after, kernel, stride, 1, bias=False), nn.GroupNorm(GROUPS, after))


class UNetDiscriminator(nn.Module):
    """Images and drafts to one logit per pixel.

    Args:
        features: of the first layer; they double at each of three downsamplings.
    """

    def __init__(self, features: int = 32) -> None:
        super().__init__()
        widths = [features << k for k in range(4)]
        self.first = nn.Conv2d(6, features, 3, 1, 1)
        self.down = nn.ModuleList(layer(widths[k], widths[k + 1], 4, 2) for k in range(3))
        self.up = nn.ModuleList(layer(widths[k + 1], widths[k], 3, 1) for k in reversed(range(3)))
        self.last = nn.Sequential(layer(features, features, 3, 1), nn.LeakyReLU(SLOPE), nn.Conv2d(features, 1, 3, 1, 1))

    def forward(self, images: Tensor, drafts: Tensor) -> list[Tensor]:
        """One tensor (B, 1, H, W) of logits, high where the image looks like a photo.

        Args:
            images, drafts: (B, 3, H, W) in [0, 1]; H and W are multiples of 8.
        """
        x = functional.leaky_relu(self.first(torch.cat([images, drafts], 1) * 2 - 1), SLOPE)
        levels = []
        for down in self.down:
            levels.append(x)
            x = functional.leaky_relu(down(x), SLOPE)
        for up in self.up:
            x = functional.interpolate(x, scale_factor=2.0, mode="bilinear")
            x = functional.leaky_relu(up(x), SLOPE) + levels.pop()
        return [self.last(x)]
