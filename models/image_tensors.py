"""8-bit images to tensors and back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

__all__ = ["Pixels", "to_pixels", "to_tensor"]

Pixels = npt.NDArray[np.uint8]  # (H, W, 3), sRGB


def to_tensor(image: Pixels | Image.Image) -> Tensor:
    """(1, 3, H, W) float32 in [0, 1] of an RGB image; a copy, on the CPU."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255


def to_pixels(image: Tensor) -> Pixels:
    """(H, W, 3) of an image (3, H, W), which is clipped to [0, 1] and rounded to 8 bits."""
    pixels: Pixels = image.clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).contiguous().cpu().numpy()
    return pixels
