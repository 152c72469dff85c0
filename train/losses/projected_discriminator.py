"""A discriminator on the features of a trained classifier: does this come from a photo, given the draft?

    image ─► EfficientNet-lite0, frozen ─► features at 1/2, 1/4, ... 1/32 of the size ─► fixed random mixing ─► heads

A discriminator on a classifier's features learns in a few hundred steps (Projected GAN, Sauer 2021, arXiv 2111.01007).
The mixing makes it use all channels and all sizes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...models.towers.efficientnet import LAST_AT_EACH_SIZE, STAGES, EfficientNetLite, normalise

__all__ = ["ProjectedDiscriminator"]

SLOPE = 0.2
GROUPS = 8


class ProjectedDiscriminator(nn.Module):
    """Images and drafts to logits at five sizes.

    Args:
        network: the classifier; it is frozen.
        width: channels that the features are mixed to.
    """

    def __init__(self, network: EfficientNetLite, width: int = 64) -> None:
        super().__init__()
        self.network = network
        channels = [STAGES[tap][-1] for tap in LAST_AT_EACH_SIZE]
        self.mixers = nn.ModuleList(nn.Conv2d(count, width, 1, bias=False) for count in channels)
        self.smoothers = nn.ModuleList(nn.Conv2d(width, width, 3, 1, 1, bias=False) for _ in channels)
        for frozen in (self.network, self.mixers, self.smoothers):
            frozen.eval().requires_grad_(False)
        for layer in [*self.mixers, *self.smoothers]:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
        self.heads = nn.ModuleList(head(2 * width, width) for _ in channels)

    def train(self, mode: bool = True) -> ProjectedDiscriminator:
        """As of every module, but the classifier's batch norm stays as it was trained."""
        super().train(mode)
        self.network.eval()
        return self

    def forward(self, images: Tensor, drafts: Tensor) -> list[Tensor]:
        """Logits (B, 1, h, w) at each size, the finest first, high where the image looks like a photo.

        Args:
            images, drafts: (B, 3, H, W) in [0, 1]; H and W are multiples of 32.
        """
        with torch.no_grad():
            given = self.project(drafts)
        pairs = zip(self.heads, self.project(images), given, strict=True)
        return [judge(torch.cat([seen, known], 1)) for judge, seen, known in pairs]

    def project(self, images: Tensor) -> list[Tensor]:
        """Mixed features (B, width, h, w) of images in [0, 1], the finest first; each also has the coarser ones."""
        mixed: Tensor | None = None
        projected = []
        features = self.features(images)
        for mixer, smoother, each in reversed(list(zip(self.mixers, self.smoothers, features, strict=True))):
            own = mixer(each)
            own = own / own.detach().std()
            if mixed is not None:
                own = (own + functional.interpolate(mixed, own.shape[2:], mode="bilinear")) * 0.5**0.5
            mixed = smoother(own)
            projected.append(mixed)
        return projected[::-1]

    def features(self, images: Tensor) -> list[Tensor]:
        """The classifier's features of images in [0, 1], the finest first."""
        return self.network.maps(normalise(images), LAST_AT_EACH_SIZE)


def head(inputs: int, width: int) -> nn.Module:
    """A small network from features of one size, (B, inputs, h, w), to logits (B, 1, h, w)."""
    layers: list[nn.Module] = []
    for before in (inputs, width):
        layers += [nn.Conv2d(before, width, 3, 1, 1, bias=False), nn.GroupNorm(GROUPS, width), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*layers, nn.Conv2d(width, 1, 1))
