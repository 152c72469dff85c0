"""The panel: the metrics that stand beside every image of this project, in one call.

panel = Panel(codec.semantics)
panel.compare(original, image)  # {"psnr": ..., "st_lpips": ..., "vit_patch": ..., "vit_mean": ..., "clip": ...}
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from PIL import Image

from ...errors import InputError
from ...images import psnr
from .st_lpips import StLpips
from .vision import Look, Vision

if TYPE_CHECKING:
    from ...models.semantics import Semantics

__all__ = ["Panel"]


class Panel:
    """PSNR, ST-LPIPS, and likeness by the ViT's patch tokens, by their mean and by the embedded CLIP.

    Args:
        semantics: of a codec; its tower and CLIP are shared, and loaded when first needed.
    """

    def __init__(self, semantics: Semantics) -> None:
        self.vision, self.st_lpips = Vision(semantics), StLpips("alex")
        self._original: tuple[Image.Image, list[torch.Tensor], Look] | None = None

    def compare(self, original: Image.Image, image: Image.Image) -> dict[str, float]:
        """Figures of a decoded image.

        Args:
            original, image: RGB, of one size. What is computed of the original is kept until another comes.

        Returns:
            psnr: dB, infinite for equal images. st_lpips: distance, 0 for equal images (Ghildyal & Liu 2022).
            vit_patch, vit_mean, clip: cosines of patch tokens, of mean tokens, of CLIP's embeddings; at most 1.

        Raises:
            InputError: the sizes differ.
        """
        if original.size != image.size:
            sizes = "{}x{} and {}x{}".format(*original.size, *image.size)
            raise InputError(f"images of {sizes} cannot be compared")
        if self._original is None or self._original[0] is not original:
            self._original = original, self.st_lpips.features(original), self.vision.look(original)
        _, features, look = self._original
        other = self.vision.look(image)
        return {
            "psnr": psnr(original.convert("RGB"), image.convert("RGB")),
            "st_lpips": self.st_lpips.distance(features, self.st_lpips.features(image)),
            "vit_patch": look.structure(other),
            "vit_mean": look.content(other),
            "clip": look.clip(other),
        }
