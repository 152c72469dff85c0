"""The hinge losses of a discriminator and of the network that it judges (Lim & Ye 2017, arXiv 1705.02894)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["discriminator_loss", "generator_loss"]


def discriminator_loss(real: Sequence[Tensor], drawn: Sequence[Tensor]) -> Tensor:
    """Loss of discriminators, from the logits of each, of any shape, for photos and for drawn images."""
    pairs = zip(real, drawn, strict=True)
    return torch.stack(
        [(functional.relu(1 - a.float()).mean() + functional.relu(1 + b.float()).mean()) / 2 for a, b in pairs]
    ).mean()


def generator_loss(drawn: Sequence[Tensor]) -> Tensor:
    """Loss of drawn images that the discriminators recognise, from the logits of each."""
    return -torch.stack([logits.float().mean() for logits in drawn]).mean()
