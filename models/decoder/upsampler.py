"""The upsampler: a network that draws a draft again, sharp, from what a quarter of its size can show.

    draft (B, 3, H, W) ─► unshuffled by 4 (48 channels) ─┐
    noise (B, 1, H/4, W/4) ──────────────────────────────┼─► RRDBNet at H/4 x W/4 ─► enlarged twice by 2 ─► image
    quality (B,) as a plane ─────────────────────────────┘

RRDBNet is the network of ESRGAN (Wang 2018, arXiv 1809.00219), with the weights of Real-ESRGAN x4plus (Wang 2021,
arXiv 2107.10833) as its start. x4plus sees the three channels of a small image. Here the first layer sees all sixteen
pixels of the draft that make one of the small image: with x4plus's weights it takes their mean, and training can use
what else they tell.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...errors import WeightsError

__all__ = ["FACTOR", "Upsampler"]

FACTOR = 4  # a side of the image along one of the trunk
LAYERS = 5  # of a dense block
SCALE = 0.2  # of the residuals
EXTRA = 2  # planes beside the draft: noise, quality


class DenseBlock(nn.Module):
    """Five convolutions, each of which sees all that came before (B, F, h, w) -> (B, F, h, w)."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        outputs = [growth] * (LAYERS - 1) + [features]
        self.layers = nn.ModuleList(nn.Conv2d(features + k * growth, out, 3, 1, 1) for k, out in enumerate(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """x + 0.2 * (what the last layer makes of x and of all layers before it)."""
        known = x
        for layer in self.layers[:-1]:
            known = torch.cat([known, functional.leaky_relu(layer(known), SCALE)], 1)
        residual: Tensor = self.layers[-1](known)
        return x + SCALE * residual


class ResidualBlock(nn.Module):
    """Three dense blocks in a residual (RRDB)."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.dense = nn.Sequential(*(DenseBlock(features, growth) for _ in range(3)))

    def forward(self, x: Tensor) -> Tensor:
        """x + 0.2 * (dense blocks of x)."""
        residual: Tensor = self.dense(x)
        return x + SCALE * residual


class Upsampler(nn.Module):
    """Drafts to sharp images of the same size.

    Args:
        features: channels of the trunk.
        growth: channels that each layer of a dense block adds.
        blocks: number of residual blocks.
    """

    def __init__(self, features: int, growth: int, blocks: int) -> None:
        super().__init__()
        self.config = {"features": features, "growth": growth, "blocks": blocks}
        self.first = nn.Conv2d(3 * FACTOR**2 + EXTRA, features, 3, 1, 1)
        self.trunk = nn.Sequential(*(ResidualBlock(features, growth) for _ in range(blocks)))
        self.last_of_trunk = nn.Conv2d(features, features, 3, 1, 1)
        self.enlarge = nn.ModuleList(nn.Conv2d(features, features, 3, 1, 1) for _ in range(2))
        self.refine = nn.Conv2d(features, features, 3, 1, 1)
        self.last = nn.Conv2d(features, 3, 3, 1, 1)

    def forward(self, draft: Tensor, quality: Tensor, noise: Tensor) -> Tensor:
        """Sharp images, (B, 3, H, W) about in [0, 1].

        Args:
            draft: (B, 3, H, W) in [0, 1], H and W multiples of 4.
            quality: (B,) of the pixel stream, in [0, 1]; x4plus itself ignores it.
            noise: (B, 1, H / 4, W / 4), standard normal; texture is drawn from it.
        """
        plane = quality.view(-1, 1, 1, 1).expand_as(noise)
        x = torch.cat([functional.pixel_unshuffle(draft, FACTOR), noise, plane], 1).to(draft.dtype)
        if draft.is_contiguous(memory_format=torch.channels_last):
            x = x.contiguous(memory_format=torch.channels_last)
        features = self.first(x)
        features = features + self.last_of_trunk(self.trunk(features))
        for layer in self.enlarge:
            features = functional.leaky_relu(layer(functional.interpolate(features, scale_factor=2.0)), SCALE)
        features = functional.leaky_relu(self.refine(features), SCALE)
        with torch.autocast(draft.device.type, enabled=False):  # half precision would round to whole grey levels
            image: Tensor = self.last(features.float())
        return image

    def convolutions(self) -> list[nn.Conv2d]:
        """All layers, in the order in which an image passes them, which is the order of the ncnn file."""
        return [module for module in self.modules() if isinstance(module, nn.Conv2d)]

    @torch.no_grad()
    def load_x4plus(self, convolutions: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Take the weights of Real-ESRGAN x4plus, which sees the mean of 4x4 pixels, no noise and no quality.

        Args:
            convolutions: weights and biases in the order of the network.

        Raises:
            WeightsError: they are of another network.
        """
        layers = self.convolutions()
        if len(layers) != len(convolutions):
            raise WeightsError(f"the upsampler has {len(layers)} convolutions, its weights {len(convolutions)}")
        for layer, (weight, bias) in zip(layers, convolutions, strict=True):
            if layer is self.first:
                mean = weight.repeat_interleave(FACTOR**2, 1) / FACTOR**2
                weight = functional.pad(mean, (0, 0, 0, 0, 0, EXTRA))  # noqa: PLW2901
            if layer.weight.shape != weight.shape:
                raise WeightsError("the upsampler's weights are of another network")
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)  # type: ignore[union-attr]
