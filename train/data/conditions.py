"""What the decoder is shown of a batch: text and masks, each left out at random, and the pixel stream's pictures.

Every subset of the streams is met in training, as every subset is a valid file.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ...models.decoder.regional_attention import FIRST_ITEM, biases, prompts_of, stacked
from ...models.decoder.text_encoders import TextEncoder
from .scene_batches import FACTOR, ITEMS, SceneBatch

__all__ = ["Shown", "conditions"]

DROP_TEXT, DROP_MASKS = 0.2, 0.3


@dataclass(frozen=True)
class Shown:
    """Conditions of B pictures, some dropped.

    Attributes:
        states, bias: of the cross-attention. control: (B, 6, S, S). gate: (B, 1, 1, 1), 0 where control shows nothing.
    """

    states: Tensor
    bias: dict[int, Tensor] | None
    control: Tensor
    gate: Tensor

    def of(self, rows: slice) -> Shown:
        """The conditions of some of the pictures."""
        bias = None if self.bias is None else {size: each[rows] for size, each in self.bias.items()}
        return Shown(self.states[rows], bias, self.control[rows], self.gate[rows])


def conditions(
    text: TextEncoder, batch: SceneBatch, drafts: Tensor, levels: int, *, pixels: Tensor, dtype: torch.dtype
) -> Shown:
    """What the networks are shown of a batch.

    Args:
        drafts: (B, 3, S, S) in [0, 1], the pixel stream's pictures. levels: resolutions of the UNet.
        pixels: (B,) bool, pictures that keep their drafts.
    """
    device, count = drafts.device, len(drafts)
    chance = torch.rand(2, count)
    texted = chance[0] >= DROP_TEXT
    masked = (chance[1] >= DROP_MASKS) & batch.located & texted
    said = [of if keep else [""] for of, keep in zip(batch.texts, texted, strict=True)]
    with torch.autocast(device.type, dtype):
        prompt = stacked([prompts_of(text, said)])
    masks = (batch.masks * masked[:, None, None, None]).to(device)
    planes = torch.ones(count, FIRST_ITEM + ITEMS, *masks.shape[2:], device=device)
    planes[:, 0] = 0
    planes[:, FIRST_ITEM:] = torch.where(masked[:, None, None, None].to(device), masks, 1.0)
    wide = functional.interpolate(masks, scale_factor=FACTOR, mode="bilinear")
    given = pixels[:, None, None, None].to(device)
    control = torch.cat([drafts * given, wide], 1)
    gate = (pixels | masked)[:, None, None, None].to(device, torch.float32)
    return Shown(prompt.states, biases(planes, prompt.plane, levels, dtype), control, gate)
