"""What a drawn picture is compared with its photo by, and where all that pulls it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ...models.towers.vision import DEVIATION, MEAN, PATCH, load_vision_tower
from ..hyperprior import st_lpips
from .discriminator import PatchDiscriminator, generator_loss

__all__ = ["Losses", "Weights", "pull_of", "regularity", "texture_distance"]

TINY = 1e-5
CELL, CELLS = 16, 5  # pixels of a pattern that repeats, cells along a side of a window
SCALES, WINDOW = 3, 8  # of texture; windows in pixels of each scale
SEEN = 20  # pixels of a picture along a patch of the tower


@dataclass(frozen=True)
class Weights:
    """Of L1, ST-LPIPS `vgg`, the strength of texture, what repeats, the vision tower's tokens."""

    l1: float
    perceptual: float
    texture: float
    regular: float
    semantic: float


class Losses:
    """What a drawn picture is compared by.

    Args:
        tower: the vision tower's file. count: pictures that ST-LPIPS and the tower compare.
    """

    def __init__(self, device: torch.device, tower: Path, weights: Weights, count: int) -> None:
        self.weights, self.count = weights, count
        self.metric = st_lpips(device) if weights.perceptual else None
        self.tower: Any = load_vision_tower(tower).to(device) if weights.semantic else None
        self.mean, self.deviation = (torch.tensor(each, device=device).view(1, 3, 1, 1) for each in (MEAN, DEVIATION))

    def __call__(self, drawn: Tensor, photos: Tensor) -> dict[str, Tensor]:
        """Weighted losses of (B, 3, S, S) pictures in [0, 1]."""
        few = slice(self.count)
        found = {"l1": self.weights.l1 * (drawn.float() - photos).abs().mean()}
        if self.metric is not None:
            distances = self.metric(photos[few], drawn[few], normalize=True).float()
            found["perceptual"] = self.weights.perceptual * distances.mean()
        if self.weights.regular:
            found["regular"] = self.weights.regular * regularity(drawn.float() - photos)
        if self.weights.texture:
            found["texture"] = self.weights.texture * texture_distance(drawn.float(), photos)
        if self.tower is not None:
            with torch.no_grad():
                wanted = self.tokens(photos[few])
            likeness = functional.cosine_similarity(self.tokens(drawn[few]).float(), wanted.float(), dim=-1)
            found["semantic"] = self.weights.semantic * (1 - likeness).mean()
        return found

    def tokens(self, pictures: Tensor) -> Tensor:
        """(B, N, 384) patch tokens of pictures (B, 3, S, S), N = (S / SEEN)^2."""
        side = max(1, round(pictures.shape[2] / SEEN)) * PATCH
        scaled = functional.interpolate(pictures, (side, side), mode="bicubic", antialias=True)
        hidden: Tensor = self.tower((scaled - self.mean) / self.deviation).last_hidden_state
        return hidden[:, 1:]


def texture_distance(a: Tensor, b: Tensor) -> Tensor:
    """How much the strength of texture differs, wherever it is: across and down, at some scales, of grey and colour.

    Of a blurred picture it is too low, of a striped one too high in one direction, of the right noise it is right.

    Args:
        a, b: (B, 3, S, S) in [0, 1].
    """
    pairs = zip(texture_of(a), texture_of(b), strict=True)
    return torch.stack([(first - second).abs().mean() for first, second in pairs]).sum()


def texture_of(pictures: Tensor) -> Iterator[Tensor]:
    """Root mean squares of differences of neighbours in overlapping windows, for each scale and direction."""
    red, green, blue = pictures.unbind(1)
    planes = torch.stack([(red + green + blue) / 3, red - blue, green - (red + blue) / 2], 1)
    for _ in range(SCALES):
        here, right, below = planes[:, :, :-1, :-1], planes[:, :, :-1, 1:], planes[:, :, 1:, :-1]
        for change in (right - here, below - here):
            yield (functional.avg_pool2d(change.square(), WINDOW, WINDOW // 2) + TINY).sqrt()
        planes = functional.avg_pool2d(planes, 2)


def regularity(errors: Tensor) -> Tensor:
    """Mean size of what repeats in (B, C, S, S) every 2, 4, 8 or 16 pixels, as upsampling leaves it.

    Each window of CELLS x CELLS cells has its own pattern; what is left of S beside whole windows does not count.
    """
    windows = max(1, errors.shape[2] // (CELL * CELLS))
    count = min(CELLS, errors.shape[2] // CELL)
    side = windows * count * CELL
    cells = errors[:, :, :side, :side].unflatten(3, (windows, count, CELL)).unflatten(2, (windows, count, CELL))
    pattern = cells.mean((3, 6))
    return (pattern - pattern.mean((3, 5), keepdim=True)).abs().mean()


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
