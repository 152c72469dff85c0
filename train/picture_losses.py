"""What a drawn picture is compared with its photo by, and where all that pulls it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from misc.models.vision import DEVIATION, MEAN, PATCH, load_vision_tower
from misc.train.discriminator import PatchDiscriminator, generator_loss
from misc.train.hyperprior import st_lpips
from torch import Tensor
from torch.nn import functional

__all__ = ["Losses", "pull_of"]

TOWER_SIDE = 16 * PATCH


class Losses:
    """What a drawn picture is compared by.

    Args:
        tower: the vision tower's file. perceptual, semantic: weights. count: pictures that ST-LPIPS compares.
    """

    def __init__(self, device: torch.device, tower: Path, perceptual: float, count: int, semantic: float) -> None:
        self.perceptual, self.count, self.semantic = perceptual, count, semantic
        self.metric = st_lpips(device)
        self.tower: Any = load_vision_tower(tower).to(device) if semantic else None
        self.mean, self.deviation = (torch.tensor(each, device=device).view(1, 3, 1, 1) for each in (MEAN, DEVIATION))

    def __call__(self, drawn: Tensor, photos: Tensor) -> dict[str, Tensor]:
        """Weighted losses of (B, 3, S, S) pictures in [0, 1]."""
        few = slice(self.count)
        found = {
            "l1": (drawn.float() - photos).abs().mean(),
            "perceptual": self.perceptual * self.metric(photos[few], drawn[few], normalize=True).float().mean(),
        }
        if self.tower is not None:
            with torch.no_grad():
                wanted = self.tokens(photos)
            likeness = functional.cosine_similarity(self.tokens(drawn).float(), wanted.float(), dim=-1)
            found["semantic"] = self.semantic * (1 - likeness).mean()
        return found

    def tokens(self, pictures: Tensor) -> Tensor:
        """(B, 256, 384) patch tokens."""
        scaled = functional.interpolate(pictures, (TOWER_SIDE, TOWER_SIDE), mode="bicubic", align_corners=False)
        hidden: Tensor = self.tower((scaled - self.mean) / self.deviation).last_hidden_state
        return hidden[:, 1:]


def gradient(loss: Tensor, leaf: Tensor) -> Tensor:
    """Of a loss with respect to a picture."""
    return torch.autograd.grad(loss, leaf)[0]


def pull_of(
    drawn: Tensor, photos: Tensor, drafts: Tensor, losses: Losses, critic: PatchDiscriminator | None, share: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """Gradient of all losses with respect to drawn pictures, and the losses.

    Args:
        critic: pulls as strongly as `share` of the others do.
    """
    leaf = drawn.detach().requires_grad_()
    found = losses(leaf, photos)
    pull = gradient(torch.stack([*found.values()]).sum(), leaf)
    if critic is not None:
        unreal = gradient(generator_loss(critic(leaf, drafts)), leaf)
        pull = pull + share * pull.norm() / unreal.norm().clamp_min(1e-12) * unreal
    return pull, found
