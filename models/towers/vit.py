"""A vision transformer of DINOv2's layout (Oquab et al. 2023, arXiv 2304.07193), for inference with existing weights.

    pixels ─► patches of PxP, one vector each ─► + positions ─► layers x (attention, MLP) ─► norm ─► tokens

Its tokens equal those of transformers' Dinov2Model; that library takes three seconds to import.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["VisionTransformer", "rename"]

EPSILON = 1e-6
NEW_NAMES = (
    ("embeddings.patch_embeddings.", ""),
    ("embeddings.", ""),
    ("encoder.layer.", "layers."),
    ("attention.attention.", "attention."),
    ("attention.q_proj", "attention.query"),
    ("attention.k_proj", "attention.key"),
    ("attention.v_proj", "attention.value"),
    ("attention.o_proj", "attention.output"),
    ("attention.output.dense", "attention.output"),
    ("layer_scale1.lambda1", "scale1"),
    ("layer_scale2.lambda1", "scale2"),
    ("layernorm.", "norm."),
)


def rename(name: str) -> str:
    """The parameter's name here for its name in any version of transformers."""
    for old, new in NEW_NAMES:
        name = name.replace(old, new)
    return name


class Attention(nn.Module):
    """Self-attention of all tokens."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, width) of the same."""
        query, key, value = (
            part(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (self.query, self.key, self.value)
        )
        mixed: Tensor = self.output(
            functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        )
        return mixed


class Mlp(nn.Module):
    """Two linear layers, the inner one four times as wide."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, width) of the same."""
        y: Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return y


class Layer(nn.Module):
    """Attention and MLP, each with a normalisation before and a learned scale after."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=EPSILON), nn.LayerNorm(width, eps=EPSILON)
        self.attention, self.mlp = Attention(width, heads), Mlp(width)
        self.scale1, self.scale2 = nn.Parameter(torch.ones(width)), nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, width) of the same."""
        x = self.attention(self.norm1(x)) * self.scale1 + x
        y: Tensor = self.mlp(self.norm2(x)) * self.scale2 + x
        return y


class VisionTransformer(nn.Module):
    """Tokens of images.

    Args:
        width: channels of a token.
        layers, heads: number of layers and of heads.
        patch: side of a patch in pixels.
        positions: patches along a side of the training images, for the position embeddings.
    """

    def __init__(self, width: int, layers: int, heads: int, patch: int, positions: int) -> None:
        super().__init__()
        self.positions = positions
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.position_embeddings = nn.Parameter(torch.zeros(1, 1 + positions**2, width))
        self.projection = nn.Conv2d(3, width, patch, patch)
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width, eps=EPSILON)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 1 + rows x columns, width): the class token and one token per patch of pixels (B, 3, height, width)."""
        patches = self.projection(pixels)
        places = self.places(*patches.shape[-2:])
        x = torch.cat([self.cls_token.expand(len(patches), -1, -1), patches.flatten(2).transpose(1, 2)], 1) + places
        for layer in self.layers:
            x = layer(x)
        tokens: Tensor = self.norm(x)
        return tokens

    def places(self, rows: int, columns: int) -> Tensor:
        """(1, 1 + rows x columns, width): the position embeddings, interpolated to another number of patches."""
        if rows == columns == self.positions:
            return self.position_embeddings
        whole, learned = self.position_embeddings[:, :1], self.position_embeddings[:, 1:]
        square = learned.unflatten(1, (self.positions, self.positions)).permute(0, 3, 1, 2)
        stretched = functional.interpolate(square, (rows, columns), mode="bicubic", align_corners=False)
        return torch.cat([whole, stretched.flatten(2).transpose(1, 2)], 1)
