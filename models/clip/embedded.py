"""The embedded CLIP: heads on two frozen towers, with open_clip's interface and one dense embedding per patch.

    patch tokens (16, 16, 384) ─┬─► MLP ─► weighted mean ─► image embedding (256)
                                └─► MLP ──────────────────► dense embeddings (16, 16, 256)
    MiniLM sentence vector (384) ─► MLP ──────────────────► text embedding (256)

Dense embeddings are trained only on names of objects: with boxes if there are any, otherwise through the patches that
match a name best.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...configs import read_config
from ...weights.safe import load, refusing

__all__ = ["ClipHeads", "load_clip_heads"]

CONFIG = "clip-heads"  # for weights that do not store their own


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
    """Both heads. Embeddings are of length 1; similarity is `logit_scale.exp() * image @ text.T`.

    Args:
        width: channels of a patch token and of a sentence vector.
        hidden: channels inside an MLP.
        embedding: channels of the common space of images and texts.
        views: number of weighted means of the patches; their mean is the image's.
    """

    def __init__(self, width: int, hidden: int, embedding: int, views: int) -> None:
        super().__init__()
        self.config = {"width": width, "hidden": hidden, "embedding": embedding, "views": views}
        self.visual = nn.Sequential(nn.LayerNorm(width), Residual(width, hidden), nn.LayerNorm(width))
        self.visual_projection = nn.Linear(width, embedding, bias=False)
        self.attention = nn.Linear(width, views)
        self.local = nn.Sequential(
            nn.LayerNorm(width),
            Residual(width, hidden),
            nn.LayerNorm(width),
            nn.Linear(width, embedding, bias=False),
        )
        self.text = nn.Sequential(Residual(width, hidden), nn.LayerNorm(width))
        self.text_projection = nn.Linear(width, embedding, bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(3.0))
        self.dense_scale = nn.Parameter(torch.tensor(3.0))
        self.dense_bias = nn.Parameter(torch.tensor(-4.0))

    @property
    def dense(self) -> tuple[Tensor, Tensor]:
        """Log scale and bias: sigmoid(scale * dense @ text + bias) is the probability that a patch shows a name."""
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
        return F.normalize(self.text_projection(self.text(sentences * sentences.shape[-1] ** 0.5)), dim=-1)


def load_clip_heads(path: Path) -> ClipHeads:
    """The heads of a weights file that `misc.train.locator` wrote.

    Raises:
        WeightsError: the file is missing, damaged or of another network.
    """
    with refusing(path, "the locator"):
        weights = load(path, "pt")
        own = weights.metadata.get("config")
        heads = ClipHeads(**(json.loads(own) if own else read_config(CONFIG)))
        heads.load_state_dict({name: tensor.float() for name, tensor in weights.tensors.items()})
    return heads.eval().requires_grad_(False)
