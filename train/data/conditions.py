"""The generator's conditions for a batch: draft, text and masks, each dropped at random.

Training covers every subset of the streams, because every subset is a valid file.

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
    """Probability of dropping each condition, 0 to 1."""

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
        bias: of the keys, by the number of positions; None if every key acts everywhere.
        control: (B, 6, q, q) drafts at a quarter and masks in [0, 1], zero if they are dropped.
        gate: (B, 1, 1, 1), 0 if control is empty.
    """

    states: Tensor
    bias: dict[int, Tensor] | None
    control: Tensor
    gate: Tensor


def choose_conditions(located: Tensor, dropping: Dropping) -> Kept:
    """Draw which conditions are kept, each with its own probability; images that are not located (B,) have no masks."""
    chance = torch.rand(3, len(located))
    masks = (chance[2] >= dropping.drop_masks) & located
    return Kept(chance[0] >= dropping.drop_pixels, chance[1] >= dropping.drop_text, masks)


def show(text: TextEncoder, batch: SceneBatch, drafts: Tensor, kept: Kept, *, levels: int, dtype: torch.dtype) -> Shown:
    """The networks' conditions for a batch.

    Args:
        text: encodes the texts.
        batch: of B images.
        drafts: (B, 3, q, q) the pixel stream's images at a quarter, in [0, 1].
        kept: the conditions that are not dropped.
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
