"""What the generator is shown of a batch: draft, text and masks, each left out at random.

Every subset of the streams is met in training, as every subset is a valid file.

    texts ──► text encoder ─► keys ──────────┐
    masks ─┬► bias of the keys ──────────────┼─► UNet
           └► with the drafts at a quarter ──┴─► ControlNet
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from ...models.decoder.quarter_autoencoder import SHUFFLE
from ...models.decoder.regional_attention import FIRST_ITEM, biases, prompts_of, stack_prompts
from ...models.decoder.text_encoders import TextEncoder
from .scene_batches import ITEMS, SceneBatch

__all__ = ["Dropping", "Kept", "Shown", "choose_conditions", "show"]


class Dropping(Protocol):
    """How often each condition is left out, 0 to 1."""

    drop_pixels: float
    drop_text: float
    drop_masks: float


@dataclass(frozen=True)
class Kept:
    """Which of B images keep their draft, text and masks: (B,) bool each."""

    pixels: Tensor
    text: Tensor
    masks: Tensor


@dataclass(frozen=True)
class Shown:
    """Conditions of B images.

    Attributes:
        states: (B, K, D) keys of the cross-attention.
        bias: of the keys, by the number of positions; None if every key is seen everywhere.
        control: (B, 6, q, q) drafts at a quarter and masks in [0, 1], zero where they are left out.
        gate: (B, 1, 1, 1), 0 where control shows nothing.
    """

    states: Tensor
    bias: dict[int, Tensor] | None
    control: Tensor
    gate: Tensor


def choose_conditions(located: Tensor, dropping: Dropping) -> Kept:
    """Which conditions are kept, each by a chance of its own; images that are not located (B,) have no masks."""
    chance = torch.rand(3, len(located))
    masks = (chance[2] >= dropping.drop_masks) & located
    return Kept(chance[0] >= dropping.drop_pixels, chance[1] >= dropping.drop_text, masks)


def show(text: TextEncoder, batch: SceneBatch, drafts: Tensor, kept: Kept, *, levels: int, dtype: torch.dtype) -> Shown:
    """What the networks are shown of a batch.

    Args:
        text: encodes the texts.
        batch: of B images.
        drafts: (B, 3, q, q) the pixel stream's images at a quarter, in [0, 1].
        kept: what is not left out.
        levels: number of resolutions of the UNet.
        dtype: of the attention's bias.
    """
    device = drafts.device
    said = [of if keep else [""] for of, keep in zip(batch.texts, kept.text.tolist(), strict=True)]
    prompt = stack_prompts([prompts_of(text, said)])
    pixels, located = (each[:, None, None, None].to(device) for each in (kept.pixels, kept.masks))
    masks = batch.masks.to(device) * located
    small = functional.avg_pool2d(masks, SHUFFLE)
    planes = torch.ones(len(drafts), FIRST_ITEM + ITEMS, *small.shape[2:], device=device)
    planes[:, 0] = 0
    planes[:, FIRST_ITEM:] = torch.where(located, small, 1.0)
    control = torch.cat([drafts * pixels, masks], 1)
    return Shown(prompt.states, biases(planes, prompt.plane, levels, dtype), control, (pixels | located).float())
