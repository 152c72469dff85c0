import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image

from misc.bits.pixels.entropy_model import LatentModel
from misc.bits.pixels.latents import PixelLatents, quantise, shapes
from misc.models.hyperprior.hyperprior import Hyperprior
from misc.models.hyperprior.integers import exact_arrays

settings.register_profile("misc", deadline=None)  # a busy machine is no failure
settings.load_profile("misc")


def tiny_hyperprior(seed: int = 0) -> Hyperprior:
    """The real class with few channels and random weights, wide enough in its outputs that symbols vary."""
    torch.manual_seed(seed)
    model = Hyperprior(channels=(8, 8, 8, 8), y_channels=6, z_channels=3, hyper_channels=8).eval()
    with torch.no_grad():
        model.g_a.last.weight.mul_(3)
        model.h_a[-1].weight.mul_(4)
        model.first[2].bias[:6] += torch.linspace(-2, 2, 6)
    return model


@pytest.fixture(scope="session")
def hyperprior() -> Hyperprior:
    return tiny_hyperprior()


@pytest.fixture(scope="session")
def latent_model(hyperprior: Hyperprior) -> LatentModel:
    return LatentModel(exact_arrays(hyperprior))


def random_latents(
    model: LatentModel, width: int, height: int, seed: int = 0, spread: float = 2.0, quality: int = 100
) -> PixelLatents:
    draw = np.random.default_rng(seed)
    y_shape, z_shape = shapes(width, height)
    y = draw.normal(0, spread, (model.y_channels, *y_shape))
    z = draw.normal(0, spread, (model.z_channels, *z_shape))
    return quantise(y, z, quality, model)


def sample_picture(width: int = 96, height: int = 64, seed: int = 0) -> Image.Image:
    """Smooth colours with a few edges."""
    rows, columns = np.mgrid[:height, :width]
    draw = np.random.default_rng(seed)
    waves = [np.sin(columns / draw.uniform(5, 30) + rows / draw.uniform(5, 30)) for _ in range(3)]
    pixels = 128 + 80 * np.stack(waves, -1)
    pixels[height // 3 : height // 2, width // 4 : width // 2] = (200, 40, 60)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
