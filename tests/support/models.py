"""Small models with random weights."""

import numpy as np
import torch

from misc.bits.pixels.entropy_model import LatentModel
from misc.bits.pixels.latents import PixelLatents, quantise, shapes
from misc.models.hyperprior.hyperprior import Hyperprior


def tiny_hyperprior(seed: int = 0) -> Hyperprior:
    """The real class with few channels and random weights, wide enough in its outputs that symbols vary."""
    torch.manual_seed(seed)
    model = Hyperprior((8, 8, 8, 8), (2, 4), z_channels=3, hyper_channels=8, features=8, context=3).eval()
    with torch.no_grad():
        model.g_a.last.weight.mul_(3)
        model.h_a[-1].weight.mul_(4)
        for part in model.slices:
            part.first[2].bias[: part.size] += torch.linspace(-2, 2, part.size)
    return model


def random_latents(
    model: LatentModel, width: int, height: int, seed: int = 0, spread: float = 2.0, quality: int = 100
) -> PixelLatents:
    draw = np.random.default_rng(seed)
    y_shape, z_shape = shapes(width, height)
    y = draw.normal(0, spread, (model.y_channels, *y_shape))
    z = draw.normal(0, spread, (model.z_channels, *z_shape))
    return quantise(y, z, quality, model)
