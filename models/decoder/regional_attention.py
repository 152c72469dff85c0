"""Regional cross-attention: every item's words act inside its mask only, the whole's everywhere, in one pass.

    keys:   whole | item 1 | item 2 | ...          each key has a plane: everywhere, hidden, or its item's mask
    bias(position, key) = log(mask of the key's plane at the position)      added to the attention's logits

A mask value w multiplies the key's attention weight by w; where w is 0 the key does not exist.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from ...bits.regions.maps import RegionMaps
from .text_encoders import TextEncoder

__all__ = [
    "EVERYWHERE",
    "FIRST_ITEM",
    "HIDDEN",
    "Prompt",
    "RegionalAttention",
    "attend",
    "biases",
    "planes_of",
    "prompt_of",
    "prompts_of",
    "stack_prompts",
]

HIDDEN, EVERYWHERE, FIRST_ITEM = range(3)
ALIGNED = 8  # keys that a GPU's attention kernels like to have in a row


@dataclass(frozen=True)
class Prompt:
    """Keys of B images' cross-attention.

    Attributes:
        states: (B, K, D) float.
        plane: (B, K) int64, HIDDEN, EVERYWHERE or FIRST_ITEM + item.
        pooled: (B, P) or None.
    """

    states: Tensor
    plane: Tensor
    pooled: Tensor | None = None


def prompt_of(encoder: TextEncoder, whole: str, items: Sequence[str] = ()) -> Prompt:
    """The keys (B = 1) of a text for the whole image and of one for each item."""
    return prompts_of(encoder, [[whole, *items]])


def prompts_of(encoder: TextEncoder, texts: Sequence[Sequence[str]]) -> Prompt:
    """As `prompt_of` of B images' texts, each the whole and then the items; all are encoded at once."""
    features = encoder.encode([text for of in texts for text in of])
    length = features.states.shape[1]
    tokens, window = features.tokens.cpu(), features.window.cpu()
    places, planes, firsts = [], [], []
    row = 0
    for of in texts:
        firsts.append(row)
        shown = torch.stack([window[row], *tokens[row + 1 : row + len(of)]])
        text, position = shown.nonzero(as_tuple=True)
        places.append((row + text) * length + position)
        planes.append(EVERYWHERE + text)
        row += len(of)
    place = pad_sequence(places, batch_first=True).to(features.states.device)
    plane = pad_sequence(planes, batch_first=True, padding_value=HIDDEN).to(features.states.device)
    pooled = None if features.pooled is None else features.pooled[firsts]
    return Prompt(features.states.flatten(0, 1)[place], plane, pooled)


def stack_prompts(prompts: Sequence[Prompt]) -> Prompt:
    """Prompts as one batch, the shorter ones filled up with hidden keys."""
    lengths = {each.states.shape[1] for each in prompts}
    length = max(lengths)
    if len(lengths) > 1 or any(bool((each.plane != EVERYWHERE).any()) for each in prompts):
        length += -length % ALIGNED
    states = [F.pad(each.states, (0, 0, 0, length - each.states.shape[1])) for each in prompts]
    plane = [F.pad(each.plane, (0, length - each.plane.shape[1]), value=HIDDEN) for each in prompts]
    pooled = [each.pooled for each in prompts if each.pooled is not None]
    return Prompt(torch.cat(states), torch.cat(plane), torch.cat(pooled) if pooled else None)


def planes_of(regions: RegionMaps | None, items: int, cells: tuple[int, int], padded: tuple[int, int]) -> Tensor:
    """Weights of the planes, (1, FIRST_ITEM + items, *padded) in [0, 1].

    Args:
        cells: rows and columns of latents that the image has.
        padded: with those that go on beyond its border. An item without a map is seen everywhere.
    """
    planes = torch.ones(1, FIRST_ITEM + items, *padded)
    planes[:, HIDDEN] = 0
    if regions is not None and items and len(regions.masks):
        masks = torch.from_numpy(regions.masks[:items]).float()[None]
        soft = F.interpolate(masks, cells, mode="bilinear", antialias=True).clamp(0, 1)
        soft = F.pad(soft, (0, padded[1] - cells[1], 0, padded[0] - cells[0]), mode="replicate")
        planes[:, FIRST_ITEM : FIRST_ITEM + masks.shape[1]] = soft
    return planes


def biases(planes: Tensor, plane: Tensor, levels: int, dtype: torch.dtype) -> dict[int, Tensor] | None:
    """What is added to the logits at each resolution, or None if every key is seen everywhere.

    Args:
        planes: (B, P, H, W) at the latents' resolution.
        plane: (B, K).
        levels: resolutions of the UNet.

    Returns:
        {positions: (B, 1, positions, K)}
    """
    if bool((plane == EVERYWHERE).all()):
        return None
    height, width = planes.shape[2:]
    by_size = {}
    for level in range(levels):
        size = (math.ceil(height / 2**level), math.ceil(width / 2**level))
        flat = F.adaptive_avg_pool2d(planes, size).flatten(2)
        weights = flat.gather(1, plane[:, :, None].expand(-1, -1, flat.shape[2]))
        by_size[flat.shape[2]] = weights.clamp(0, 1).log().transpose(1, 2)[:, None].to(dtype)
    return by_size


class RegionalAttention:
    """An attention processor of diffusers: scaled dot-product attention, with a bias for the number of positions."""

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        bias: dict[int, Tensor] | None = None,
    ) -> Tensor:
        """hidden_states: (B, N, C) positions; encoder_hidden_states: (B, K, D) keys, or None for self-attention."""
        source = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = (
            layer(states).unflatten(2, (attn.heads, -1)).transpose(1, 2)
            for layer, states in ((attn.to_q, hidden_states), (attn.to_k, source), (attn.to_v, source))
        )
        if encoder_hidden_states is not None and bias is not None:
            attention_mask = bias[hidden_states.shape[1]]
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=attention_mask)
        result: Tensor = attn.to_out[1](attn.to_out[0](mixed.transpose(1, 2).flatten(2)))
        return result


def attend(net: nn.Module) -> None:
    """Give the transformer blocks of a UNet or ControlNet this attention; without a bias it is the usual one."""
    model: Any = net
    processors = model.attn_processors
    model.set_attn_processor(
        {name: RegionalAttention() if ".attn" in name else old for name, old in processors.items()}
    )
