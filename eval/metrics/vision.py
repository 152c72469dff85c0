"""Similarity by the vision tower: of structure, of content, and of CLIP's embeddings.

    image ─► ViT-S/14 ─► patch tokens (16, 16, 384) ─┬─► as they are: structure
                                                     ├─► their mean: content
                                                     └─► the embedded CLIP's image embedding (256)

All are cosines, 1 for equal images. The tower's input is the image stretched to 224 x 224.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image
from torch import Tensor
from torch.nn import functional

from ...models.towers.vision import patch_tokens, to_input

if TYPE_CHECKING:
    from ...models.semantics import Semantics

__all__ = ["Look", "Vision"]

GRID = 16


@dataclass(frozen=True)
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


class Vision:
    """The vision tower and the embedded CLIP of a profile.

    Args:
        semantics: whose tower and CLIP are used, so that nothing is loaded twice.
    """

    def __init__(self, semantics: Semantics) -> None:
        self.semantics = semantics

    def look(self, image: Image.Image) -> Look:
        """The tower's features of an RGB image of any size."""
        patches = patch_tokens(self.semantics.tower, to_input(image, GRID, GRID)[None])
        return Look(patches[0], self.semantics.clip.look(patches)[0][0])

    def caption(self, image: Image.Image) -> str:
        """The embedded describer's overall sentence for an RGB image."""
        return self.semantics.embedded_describer.describe(image.convert("RGB"), 0).overall

    def embed_sentence(self, text: str) -> Tensor:
        """MiniLM's vector of a text, (384,), of length 1."""
        return self.semantics.clip.text.embed([text])[0]

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """The embedded CLIP's text embeddings, (texts, 256), of length 1."""
        embeddings: Tensor = self.semantics.clip.embed_texts(texts)
        return embeddings
