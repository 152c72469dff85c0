"""An open_clip model with one embedding per patch.

    image ─► ViT, all blocks but the last ─► last block: attention of the values to each other ─► projection
    image ─► SigLIP's ViT, all blocks ─► its pooling, for one patch at a time

In the last block of a CLIP, the queries and keys of the attention are replaced by the values, so that a patch attends
to similar patches. The MLP and the residual path are left out (MaskCLIP, arXiv 2112.01071; CLIP Surgery, arXiv
2304.05653). SigLIP (arXiv 2303.15343) has no class token: it pools all patches by attention with a learned query. For a
single patch, this pooling is the patch's value followed by the pooling's MLP, as in MaskCLIP.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import open_clip
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from ...decoder_profile import HubPart
from ...errors import WeightsError
from ...weights import hub
from ..decoder.pickles import refusal

__all__ = ["OpenClip", "load_dense_clip", "open_folder"]

PICKLES = (".bin", ".pth", ".pt")


class OpenClip:
    """Dense embeddings of an open_clip model whose image tower is open_clip's ViT, or timm's with attention pooling.

    Args:
        model: of open_clip.
        preprocess: an image to (3, side, side).
        tokenizer: texts to (B, L).
    """

    def __init__(self, model: Any, preprocess: Any, tokenizer: Any) -> None:
        self.model, self.preprocess, self.tokenizer = model, preprocess, tokenizer
        self.dense = way_of(getattr(model, "visual", None))

    @torch.inference_mode()
    def embed_patches(self, image: Image.Image) -> Tensor:
        """(rows, columns, C) of an RGB image, stretched to the model's square input; of length 1."""
        tower = self.model.visual
        height, width = tower.image_size
        pixels = self.preprocess(image.resize((width, height), Image.Resampling.BICUBIC))[None].to(self._device())
        return F.normalize(self.dense(tower, pixels).float(), dim=-1)

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """(texts, C), of length 1."""
        tokens = self.tokenizer([f"a photo of a {text}" for text in texts]).to(self._device())
        return F.normalize(self.model.encode_text(tokens).float(), dim=-1)

    def _device(self) -> torch.device:
        device: torch.device = next(self.model.parameters()).device
        return device


def way_of(tower: Any) -> Callable[[Any, Tensor], Tensor]:
    """The function that gives a tower's embedding of each patch; WeightsError for an unknown tower."""
    blocks = getattr(getattr(tower, "transformer", None), "resblocks", None)
    if blocks and isinstance(getattr(blocks[-1], "attn", None), nn.MultiheadAttention):
        if not tower.transformer.batch_first:
            raise WeightsError("the locator needs an open_clip model that puts the batch first")
        return of_own_tower
    if getattr(getattr(tower, "trunk", None), "attn_pool", None) is not None:
        return of_pooling_tower
    raise WeightsError("the locator needs an open_clip model with a ViT of open_clip's own, or SigLIP's")


def of_own_tower(tower: Any, pixels: Tensor) -> Tensor:
    """(rows, columns, C) of open_clip's own ViT; pixels (1, 3, H, W)."""
    x = tower._embeds(pixels)  # as in its forward; open_clip has no public name for it
    *blocks, last = tower.transformer.resblocks
    for block in blocks:
        x = block(x)
    dense: Tensor = tower.ln_post(value_attention(last.attn, last.ln_1(x)))[0, 1:]
    if tower.proj is not None:
        dense = dense @ tower.proj
    grid: Tensor = dense.unflatten(0, tuple(tower.grid_size))
    return grid


def of_pooling_tower(tower: Any, pixels: Tensor) -> Tensor:
    """(rows, columns, C) of timm's ViT with attention pooling; pixels (1, 3, H, W)."""
    trunk = tower.trunk
    patches = trunk.forward_features(pixels)[0, trunk.num_prefix_tokens :]
    pooled = trunk.fc_norm(trunk.attn_pool(patches[:, None]))  # a batch of single patches
    dense: Tensor = tower.head(trunk.head(pooled))
    grid: Tensor = dense.unflatten(0, tuple(trunk.patch_embed.grid_size))
    return grid


def value_attention(attention: nn.MultiheadAttention, x: Tensor) -> Tensor:
    """Attention of x (B, L, width) whose queries and keys are its values."""
    _, _, weight = attention.in_proj_weight.chunk(3)
    _, _, bias = attention.in_proj_bias.chunk(3)
    heads = F.linear(x, weight, bias).unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)
    mixed = F.scaled_dot_product_attention(heads, heads, heads)
    out: Tensor = attention.out_proj(mixed.transpose(1, 2).flatten(2))
    return out


def load_dense_clip(part: HubPart, device: str) -> OpenClip:
    """The open_clip model of a profile's hub part.

    Raises:
        WeightsError: it was not downloaded, or is another kind of model.
    """
    return open_folder(hub.locate(part), device)


def open_folder(folder: Path, device: str = "cpu") -> OpenClip:
    """An open_clip model from a folder with open_clip_config.json and its weights, as the hub has them."""
    try:
        model, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{folder}", device=device)
        tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    except pickle.UnpicklingError as error:  # open_clip, too, reads only tensors from pickles
        raise refusal(next((each for each in sorted(folder.iterdir()) if each.suffix in PICKLES), folder)) from error
    except (RuntimeError, OSError, ValueError, KeyError) as error:
        raise WeightsError(f"{folder.name} does not hold an open_clip model") from error
    return OpenClip(model.eval().requires_grad_(False), preprocess, tokenizer)
