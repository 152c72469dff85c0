"""The embedded CLIP: heads on two frozen towers, with open_clip's interface and a dense embedding a patch.

    patch tokens (16, 16, 384) ─┬─► MLP ─► weighted mean ─► image embedding (256)
                                └─► MLP ──────────────────► dense embeddings (16, 16, 256)
    MiniLM sentence vector (384) ─► MLP ──────────────────► text embedding (256)

Dense embeddings learn from names of things alone, by boxes where there are any; else the patches that match a name best
speak for the picture.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...weights.safe import load, refusing
from ..towers.vision import WIDTH

__all__ = ["EMBEDDING", "ClipHeads", "load_clip_heads"]

EMBEDDING = 256


class Residual(nn.Module):
    """x + MLP(x)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Dropout(0.2), nn.Linear(hidden, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.layers(x)
        return y


class ClipHeads(nn.Module):
    """Both heads. Embeddings are of length 1; similarity is `logit_scale.exp() * image @ text.T`."""

    def __init__(self) -> None:
        super().__init__()
        self.visual = nn.Sequential(nn.LayerNorm(WIDTH), Residual(WIDTH, 2 * WIDTH), nn.LayerNorm(WIDTH))
        self.visual_projection = nn.Linear(WIDTH, EMBEDDING, bias=False)
        self.attention = nn.Linear(WIDTH, 4)
        self.local = nn.Sequential(
            nn.LayerNorm(WIDTH),
            Residual(WIDTH, 2 * WIDTH),
            nn.LayerNorm(WIDTH),
            nn.Linear(WIDTH, EMBEDDING, bias=False),
        )
        self.text = nn.Sequential(Residual(WIDTH, 2 * WIDTH), nn.LayerNorm(WIDTH))
        self.text_projection = nn.Linear(WIDTH, EMBEDDING, bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(3.0))
        self.dense_scale = nn.Parameter(torch.tensor(3.0))
        self.dense_bias = nn.Parameter(torch.tensor(-4.0))

    @property
    def dense(self) -> tuple[Tensor, Tensor]:
        """Logarithm of the scale, and bias: sigmoid(scale * dense @ text + bias) is how sure a patch is of a name."""
        return self.dense_scale, self.dense_bias

    def look(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Image embeddings (B, 256) and dense ones (B, rows, columns, 256) of patch tokens (B, rows, columns, 384)."""
        return self.encode_image(patches), F.normalize(self.local(patches), dim=-1)

    def encode_image(self, patches: Tensor) -> Tensor:
        """(B, 256) of patch tokens (B, rows, columns, 384)."""
        hidden = self.visual(patches)
        shares = self.attention(hidden).flatten(1, 2).softmax(1).mean(-1)
        mean = torch.einsum("bp,bpc->bc", shares, hidden.flatten(1, 2))
        return F.normalize(self.visual_projection(mean), dim=-1)

    def encode_text(self, sentences: Tensor) -> Tensor:
        """(B, 256) of MiniLM's sentence vectors (B, 384)."""
        return F.normalize(self.text_projection(self.text(sentences * WIDTH**0.5)), dim=-1)


def load_clip_heads(path: Path) -> ClipHeads:
    """The heads of a weights file that `misc.train.locator` wrote.

    Raises:
        WeightsError: the file is missing, damaged or of another network.
    """
    heads = ClipHeads()
    with refusing(path, "the locator"):
        heads.load_state_dict({name: tensor.float() for name, tensor in load(path, "pt").tensors.items()})
    return heads.eval().requires_grad_(False)
