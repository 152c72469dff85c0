"""Images made of formulas."""

import numpy as np
from PIL import Image


def sample_picture(width: int = 96, height: int = 64, seed: int = 0) -> Image.Image:
    """Smooth colours with a few edges."""
    rows, columns = np.mgrid[:height, :width]
    draw = np.random.default_rng(seed)
    waves = [np.sin(columns / draw.uniform(5, 30) + rows / draw.uniform(5, 30)) for _ in range(3)]
    pixels = 128 + 80 * np.stack(waves, -1)
    pixels[height // 3 : height // 2, width // 4 : width // 2] = (200, 40, 60)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
