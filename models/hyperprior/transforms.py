"""Analysis and synthesis transforms: residual stages at several resolutions, with gains that depend on the quality.

The layers equal those of `compressai.layers`, whose import takes seconds because it also imports datasets.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ...bits.pixels.entropy_model import LEVELS

__all__ = ["GainUnit", "ResidualBlock", "Stage", "Transform", "conv1x1", "conv3x3", "level_weights", "upsample"]


def conv1x1(inputs: int, outputs: int) -> nn.Conv2d:
    """A 1x1 convolution."""
    return nn.Conv2d(inputs, outputs, 1)


def conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """A 3x3 convolution that keeps the size, or divides it by the stride."""
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, added to their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(channels, channels)
        self.conv2 = conv3x3(channels, channels)
        self.leaky_relu = nn.LeakyReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to the same shape."""
        out: Tensor = self.leaky_relu(self.conv2(self.leaky_relu(self.conv1(x))))
        return out + x


class GainUnit(nn.Module):
    """Per-channel gain, interpolated geometrically between `LEVELS` learned levels of quality."""

    def __init__(self, channels: int, low: float = 1.0, high: float = 1.0) -> None:
        super().__init__()
        start = torch.linspace(math.log(low), math.log(high), LEVELS)
        self.log_gain = nn.Parameter(start[:, None].repeat(1, channels))

    def forward(self, quality: Tensor) -> Tensor:
        """quality: (B,) in [0, 1]. Returns gains (B, C, 1, 1)."""
        log_gain = level_weights(quality) @ self.log_gain
        return log_gain.exp()[:, :, None, None]


def level_weights(quality: Tensor) -> Tensor:
    """Linear interpolation weights of the quality levels: (B,) in [0, 1] to (B, LEVELS), rows sum to one."""
    position = quality.clamp(0, 1)[:, None] * (LEVELS - 1)
    levels = torch.arange(LEVELS, device=quality.device, dtype=quality.dtype)
    return (1 - (position - levels).abs()).clamp(min=0)


class Stage(nn.Module):
    """A change of resolution, a gain that depends on the quality, and residual blocks."""

    def __init__(self, resample: nn.Module, channels: int, blocks: int) -> None:
        super().__init__()
        self.resample = resample
        self.gain = GainUnit(channels)
        self.blocks = nn.Sequential(*(ResidualBlock(channels) for _ in range(blocks)))

    def forward(self, x: Tensor, quality: Tensor) -> Tensor:
        """x (N, C, H, W) at the new resolution, with the gain for qualities (N,) in [0, 1]."""
        out: Tensor = self.blocks(self.resample(x) * self.gain(quality))
        return out


class Transform(nn.Module):
    """Stages, then a last layer: the analysis or the synthesis transform."""

    def __init__(self, stages: list[Stage], last: nn.Module) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.last = last

    def forward(self, x: Tensor, quality: Tensor) -> Tensor:
        """As `run`, all stages."""
        return self.run(x, quality)

    def run(self, x: Tensor, quality: Tensor, *, first: int = 0, last: int | None = None) -> Tensor:
        """The stages from number `first` to before number `last`; without one, to the end, with the last layer."""
        for stage in self.stages[first:last]:
            x = stage(x, quality)
        out: Tensor = self.last(x) if last is None else x
        return out


def upsample(inputs: int, outputs: int) -> nn.Module:
    """A layer from (N, inputs, H, W) to (N, outputs, 2 * H, 2 * W)."""
    return nn.Sequential(conv1x1(inputs, outputs * 4), nn.PixelShuffle(2))
