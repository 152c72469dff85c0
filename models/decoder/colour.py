"""Colours of a drawn image, corrected to those of the pixel stream, whose low frequencies are right.

wavelet: the low frequencies are replaced (as Wang 2023, StableSR, arXiv 2305.07015); being linear, that is one
low-pass of the difference. adain: each channel's mean and deviation are replaced (Huang 2017, arXiv 1703.06868).
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..image_tensors import Pixels

__all__ = ["correct", "low_frequencies"]

LEVELS = 5


def correct(drawn: Pixels, reference: Pixels, method: str = "wavelet") -> Pixels:
    """The drawn image with the reference's colours, both (H, W, 3) uint8.

    Args:
        method: `wavelet`, `adain` or `none`.
    """
    if method == "none":
        return drawn
    ours, theirs = (torch.from_numpy(np.array(each)).permute(2, 0, 1)[None].float() for each in (drawn, reference))
    if method == "wavelet":
        ours = ours + low_frequencies(theirs - ours)
    else:
        deviation, mean = torch.std_mean(ours, (2, 3), keepdim=True, correction=0)
        wanted, middle = torch.std_mean(theirs, (2, 3), keepdim=True, correction=0)
        ours = (ours - mean) * (wanted / deviation.clamp_min(1e-3)) + middle
    result: Pixels = ours[0].round().clamp(0, 255).byte().permute(1, 2, 0).contiguous().numpy()
    return result


def low_frequencies(field: Tensor, levels: int = LEVELS) -> Tensor:
    """What is coarser than some 2^levels pixels, of (B, C, H, W) float: the à trous transform's last approximation."""
    for level in range(levels):
        reach = 1 << level
        for axis, pad in ((2, (0, 0, reach, reach)), (3, (reach, reach, 0, 0))):
            padded, length = F.pad(field, pad, mode="replicate"), field.shape[axis]
            ends = padded.narrow(axis, 0, length) + padded.narrow(axis, 2 * reach, length)
            field = field / 2 + ends / 4  # a dilated convolution of three taps takes a CPU 7 times as long
    return field
