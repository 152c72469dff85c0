"""An autoencoder with diffusers' interface, between images and latents that are pixels at a quarter of the size.

    image (B, 3, H, W) ─► means of 4x4 pixels ─► unshuffled by 2 ─► latents (B, 12, H/8, W/8)
    latents ─► shuffled by 2 ─► enlarged by 4 ─► upsampler ─► image (B, 3, H, W)

So any decoder of diffusers draws small images with few latents, and the upsampler makes them large. Nothing here is
trained; the upsampler is `misc.models.decoder.upsampler`.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers.configuration_utils import FrozenDict
from diffusers.models.autoencoders.vae import DecoderOutput, DiagonalGaussianDistribution
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["CHANNELS", "QUARTER", "SCALING", "SHUFFLE", "QuarterAutoencoder", "enlarge", "quarter_latents"]

QUARTER = 4  # pixels of the image along one of the quarter
SHUFFLE = 2  # pixels of the quarter along a latent
CHANNELS = 3 * SHUFFLE**2
SCALING = 1.8  # latents times this have a standard deviation of 0.9 to 1.1 on shards of training photos
LEVELS = 4  # diffusers counts a halving for each but the first: QUARTER * SHUFFLE = 2 ** (LEVELS - 1)


def quarter_latents(images: Tensor) -> Tensor:
    """Latents (B, 12, H/8, W/8) in [-1, 1] of images (B, 3, H, W) in [-1, 1]; H and W are multiples of 8."""
    return functional.pixel_unshuffle(functional.avg_pool2d(images, QUARTER), SHUFFLE)


def enlarge(quarter: Tensor) -> Tensor:
    """Smooth images (B, 3, 4 h, 4 w) whose means of 4x4 pixels are nearly the quarter (B, 3, h, w).

    Bicubic, then the same of what the means lack (Irani & Peleg 1991).
    """
    wide = functional.interpolate(quarter, scale_factor=QUARTER, mode="bicubic")
    lacking = quarter - functional.avg_pool2d(wide, QUARTER)
    return wide + functional.interpolate(lacking, scale_factor=QUARTER, mode="bicubic")


class QuarterAutoencoder(nn.Module):
    """What diffusers' pipelines and `misc.models.decoder.decoder` call a VAE.

    Args:
        upsampler: (draft (B, 3, H, W) in [0, 1], quality (B,), noise (B, 1, H/4, W/4)) -> image (B, 3, H, W).
        quality: what it is told of the enlarged quarter, 0 to 1; 1 for a clean one.
    """

    def __init__(self, upsampler: nn.Module, quality: float = 1.0) -> None:
        super().__init__()
        self.upsampler, self.quality = upsampler, quality
        self.config: Any = FrozenDict(
            block_out_channels=(CHANNELS,) * LEVELS,
            latent_channels=CHANNELS,
            scaling_factor=SCALING,
            shift_factor=0.0,
            force_upcast=False,
        )

    @property
    def dtype(self) -> torch.dtype:
        """Of the upsampler's weights."""
        return next(self.parameters()).dtype

    def encode(self, images: Tensor) -> AutoencoderKLOutput:
        """Latents of images (B, 3, H, W) in [-1, 1], as a distribution without spread."""
        latents = quarter_latents(images)
        parameters = torch.cat([latents, torch.zeros_like(latents)], 1)
        return AutoencoderKLOutput(latent_dist=DiagonalGaussianDistribution(parameters, deterministic=True))

    def decode(self, latents: Tensor, noise: Tensor | None = None) -> DecoderOutput:
        """Images (B, 3, H, W), about [-1, 1].

        Args:
            latents: (B, 12, H/8, W/8).
            noise: (B, 1, H/4, W/4) standard normal, from which texture is drawn; zero if not given.
        """
        quarter = functional.pixel_shuffle(latents, SHUFFLE) / 2 + 0.5
        if noise is None:
            noise = torch.zeros_like(quarter[:, :1])
        quality = quarter.new_full((len(quarter),), self.quality)
        drawn: Tensor = self.upsampler(enlarge(quarter).clamp(0, 1), quality, noise)
        return DecoderOutput(sample=drawn * 2 - 1)
