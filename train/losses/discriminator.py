"""The hinge losses of a discriminator and of the network that it judges (Lim & Ye 2017, arXiv 1705.02894)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

__all__ = ["discriminator_loss", "generator_loss"]


def discriminator_loss(real: Tensor, drawn: Tensor) -> Tensor:
    """Loss of a discriminator, from its logits of photos and of drawn images, of any shape."""
    return (functional.relu(1 - real.float()).mean() + functional.relu(1 + drawn.float()).mean()) / 2


def generator_loss(drawn: Tensor) -> Tensor:
    """Loss of drawn images that the discriminator recognises, from their logits."""
    return -drawn.float().mean()
