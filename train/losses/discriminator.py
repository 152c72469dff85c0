"""A patch discriminator (Isola 2017, arXiv 1611.07004): does a part of a picture look like a photo, given the draft?"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["PatchDiscriminator", "discriminator_loss", "generator_loss"]


class PatchDiscriminator(nn.Module):
    """(B, 3, H, W) pictures and drafts in [0, 1] -> (B, 1, H/8, W/8) logits; 2.8 million parameters."""

    def __init__(self, channels: int = 64) -> None:
        super().__init__()
        widths = [6, channels, 2 * channels, 4 * channels]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [nn.Conv2d(before, after, 4, 2, 1), nn.GroupNorm(8, after), nn.LeakyReLU(0.2)]
        last = 8 * channels
        layers += [nn.Conv2d(widths[-1], last, 4, 1, 1), nn.GroupNorm(8, last), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(last, 1, 4, 1, 2))

    def forward(self, pictures: Tensor, drafts: Tensor) -> Tensor:
        """Logits, high where it looks real."""
        logits: Tensor = self.layers(torch.cat([pictures, drafts], 1) * 2 - 1)
        return logits


def discriminator_loss(real: Tensor, drawn: Tensor) -> Tensor:
    """Hinge loss of logits of photos and of drawn pictures."""
    return (functional.relu(1 - real.float()).mean() + functional.relu(1 + drawn.float()).mean()) / 2


def generator_loss(drawn: Tensor) -> Tensor:
    """What the drawn pictures lose by not being taken for photos."""
    return -drawn.float().mean()
