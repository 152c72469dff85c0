"""Images to latents and back by diffusers' AutoencoderKL, tile by tile where they are large."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .scene import Frame
from .tiling import blend

__all__ = ["decode", "encode"]


def encode(vae: Any, images: Tensor, frame: Frame, tile: int, device: torch.device) -> Tensor:
    """Latents (B, C, rows, columns) float32 on the device.

    Args:
        images: (B, 3, H, W) in [0, 1].
        tile: longest side of a piece, in latents.
    """
    latents = blend(
        lambda window: vae.encode((window.of(images, frame.factor) * 2 - 1).to(device, vae.dtype)).latent_dist.mode(),
        frame.rows,
        frame.columns,
        tile,
        tile // 4,
    )
    return (latents.float() - shift(vae)) * float(vae.config.scaling_factor)


def decode(vae: Any, latents: Tensor, frame: Frame, tile: int) -> Tensor:
    """Images (B, 3, H, W) float, about [0, 1], on the CPU."""
    scaled = (latents / float(vae.config.scaling_factor) + shift(vae)).to(vae.dtype)
    images = blend(
        lambda window: vae.decode(window.of(scaled)).sample.cpu(),
        frame.rows,
        frame.columns,
        tile,
        tile // 4,
        frame.factor,
    )
    return images.float() / 2 + 0.5


def shift(vae: Any) -> float:
    return float(vae.config.get("shift_factor") or 0.0)
