"""What the vision tower sees in an image, and its similarity to another: structure, content, CLIP's embeddings.

    image ─► ViT-S/14 ─► patch tokens (16, 16, 384) ─┬─► as they are: structure
                                                     ├─► their mean: content
                                                     └─► the embedded CLIP's image embedding (256)

All are cosines, 1 for equal images. The tower's input is the image stretched to 224 x 224.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from .vision import patch_tokens, to_input

if TYPE_CHECKING:
    from ..semantics import Semantics

__all__ = ["Look", "look_at"]


@dataclass(frozen=True, eq=False)
class Look:
    """The tower's features of one image.

    Attributes:
        patches: (16, 16, 384) float.
        embedding: (256,) float, the embedded CLIP's, of length 1.
    """

    patches: Tensor
    embedding: Tensor

    def structure(self, other: Look) -> float:
        """Mean cosine of the 16 x 16 patch tokens, each with the token at the same position."""
        return float(functional.cosine_similarity(self.patches, other.patches, dim=-1).mean())

    def content(self, other: Look) -> float:
        """Cosine of the mean tokens: the content, independent of its position."""
        first, second = (each.patches.mean((0, 1)) for each in (self, other))
        return float(functional.cosine_similarity(first, second, dim=0))

    def clip(self, other: Look) -> float:
        """Cosine of the embedded CLIP's image embeddings."""
        return float(self.embedding @ other.embedding)

    def of_text(self, text: Tensor) -> float:
        """Cosine of the image embedding and a text's (256,), of length 1."""
        return float(self.embedding @ text)


def look_at(image: Image.Image, semantics: Semantics) -> Look:
    """The features of an RGB image of any size, on the CPU.

    Args:
        semantics: whose tower and CLIP are used, so that nothing is loaded twice.
    """
    patches = patch_tokens(semantics.tower, to_input(image)[None])
    with torch.inference_mode():
        embedding = semantics.clip_heads.encode_image(patches.to(semantics.device))
    return Look(patches[0].cpu(), embedding[0].cpu())
