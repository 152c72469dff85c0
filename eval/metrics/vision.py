"""What the metrics of content need of a profile: features of images, captions, embeddings of texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PIL import Image
from torch import Tensor

from ...models.towers.look import Look, look_at

if TYPE_CHECKING:
    from ...models.semantics import Semantics

__all__ = ["Vision"]


class Vision:
    """The vision tower and the embedded CLIP of a profile.

    Args:
        semantics: whose tower and CLIP are used, so that nothing is loaded twice.
    """

    def __init__(self, semantics: Semantics) -> None:
        self.semantics = semantics

    def look(self, image: Image.Image) -> Look:
        """The tower's features of an RGB image of any size."""
        return look_at(image, self.semantics)

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
