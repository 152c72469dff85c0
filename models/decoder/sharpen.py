"""Drafts drawn again by the upsampler: any size, tile by tile, with flat memory.

draft (H, W, 3) uint8 ─► tiles that overlap ─► Upsampler ─► blended ─► (H, W, 3) uint8
seed ─► noise (Philox), one value for every 4 x 4 pixels
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..half_precision import fast_dtype, half_precision
from ..image_tensors import Pixels, to_pixels, to_tensor
from .noise import gaussian
from .tiling import Window, blend
from .upsampler import FACTOR, Upsampler

__all__ = ["Sharpener"]

TILE, OVERLAP = 192, 16  # cells of 4 x 4 pixels


class Sharpener:
    """An upsampler at work on one device.

    Args:
        network: is moved to the device. On a CPU it runs in bfloat16 where the processor can, else in float32.
    """

    def __init__(self, network: Upsampler, device: str | torch.device = "cpu") -> None:
        self.device = torch.device(device)
        self.network = network.eval().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.dtype = fast_dtype(self.device)

    @torch.inference_mode()
    def draw(self, draft: Pixels, quality: int, seed: int) -> Pixels:
        """A sharp image of the draft's size, (H, W, 3) uint8; the same bytes for the same seed on one machine.

        Args:
            draft: (H, W, 3) uint8.
            quality: of the pixel stream, 0 to 255.
            seed: of the noise, 0 to 2^32 - 1.
        """
        height, width, _ = draft.shape
        image = F.pad(to_tensor(draft), (0, -width % FACTOR, 0, -height % FACTOR), mode="replicate")
        rows, columns = image.shape[2] // FACTOR, image.shape[3] // FACTOR
        noise = torch.from_numpy(gaussian(seed, (1, 1, rows, columns)))
        level = torch.tensor([quality / 255], device=self.device)

        def tile(window: Window) -> Tensor:
            part = window.of(image, FACTOR).to(self.device).contiguous(memory_format=torch.channels_last)
            with half_precision(self.device, self.dtype):
                drawn: Tensor = self.network(part, level, window.of(noise).to(self.device))
            return drawn.float().cpu()

        return to_pixels(blend(tile, rows, columns, TILE, OVERLAP, FACTOR)[0, :, :height, :width])
