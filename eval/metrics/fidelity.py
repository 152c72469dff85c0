"""SSIM and MS-SSIM of RGB images."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ...errors import InputError

__all__ = ["MIN_SIDE", "ms_ssim", "ssim", "to_tensor"]

MIN_SIDE = 161  # of MS-SSIM: four halvings must leave more than its window of 11
WINDOW = 11


def to_tensor(image: Image.Image) -> Tensor:
    """(1, 3, H, W) float in [0, 255]."""
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)[None].float()


@torch.inference_mode()
def ssim(original: Image.Image, image: Image.Image) -> float:
    """Structural similarity, at most 1.

    Raises:
        InputError: a side is shorter than the window.
    """
    import pytorch_msssim

    if min(original.size) < WINDOW:
        raise InputError(f"SSIM needs {WINDOW} pixels on each side")
    return float(pytorch_msssim.ssim(to_tensor(original), to_tensor(image), data_range=255))


@torch.inference_mode()
def ms_ssim(original: Image.Image, image: Image.Image) -> float:
    """Structural similarity on five scales, at most 1.

    Raises:
        InputError: a side is too short for five scales.
    """
    import pytorch_msssim

    if min(original.size) < MIN_SIDE:
        raise InputError(f"MS-SSIM needs {MIN_SIDE} pixels on each side")
    return float(pytorch_msssim.ms_ssim(to_tensor(original), to_tensor(image), data_range=255))
