"""Drafts drawn again by the upsampler: any size, tile by tile, with flat memory.

draft (H, W, 3) uint8 ─► tiles that overlap ─► Upsampler ─► blended ─► (H, W, 3) uint8
seed ─► noise (Philox), one value for every 4 x 4 pixels
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from .noise import gaussian
from .tiling import Window, blend
from .upsampler import FACTOR, Upsampler

__all__ = ["Sharpener"]

TILE, OVERLAP = 192, 16  # cells of 4 x 4 pixels

Pixels = npt.NDArray[np.uint8]


class Sharpener:
    """An upsampler at work on one device.

    Args:
        network: is moved to the device. On a CPU it runs in bfloat16 where the processor can, else in float32.
        load_low_rate: loads the network for coarse drafts, when the first one is drawn.
        low_rate_below: quality of the pixel stream, 0 to 255, below which a draft is coarse.
    """

    def __init__(
        self,
        network: Upsampler,
        device: str | torch.device = "cpu",
        load_low_rate: Callable[[], Upsampler] | None = None,
        low_rate_below: int = 0,
    ) -> None:
        self.device = torch.device(device)
        self.network = self._move(network)
        self._load_low_rate, self.low_rate_below = load_low_rate, low_rate_below
        self.dtype = torch.bfloat16 if self.device.type != "cpu" or has_bfloat16() else torch.float32

    @torch.inference_mode()
    def draw(self, draft: Pixels, quality: int, seed: int) -> Pixels:
        """A sharp image of the draft's size, (H, W, 3) uint8; the same bytes for the same seed on one machine.

        Args:
            draft: (H, W, 3) uint8.
            quality: of the pixel stream, 0 to 255.
            seed: of the noise, 0 to 2^32 - 1.
        """
        height, width, _ = draft.shape
        image = torch.from_numpy(np.array(draft)).permute(2, 0, 1)[None].float() / 255
        image = F.pad(image, (0, -width % FACTOR, 0, -height % FACTOR), mode="replicate")
        rows, columns = image.shape[2] // FACTOR, image.shape[3] // FACTOR
        noise = torch.from_numpy(gaussian(seed, (1, 1, rows, columns)))
        level = torch.tensor([quality / 255], device=self.device)
        network = self.network_for(quality)

        def tile(window: Window) -> Tensor:
            part = window.of(image, FACTOR).to(self.device).contiguous(memory_format=torch.channels_last)
            with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
                drawn: Tensor = network(part, level, window.of(noise).to(self.device))
            return drawn.float().cpu()

        drawn = blend(tile, rows, columns, TILE, OVERLAP, FACTOR)[0, :, :height, :width]
        pixels: Pixels = drawn.clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).contiguous().numpy()
        return pixels

    def network_for(self, quality: int) -> Upsampler:
        """The network that draws drafts of a quality, 0 to 255."""
        coarse = self._load_low_rate is not None and quality < self.low_rate_below
        return self.low_rate if coarse else self.network

    @functools.cached_property
    def low_rate(self) -> Upsampler:
        """The network for coarse drafts."""
        assert self._load_low_rate is not None
        return self._move(self._load_low_rate())

    def _move(self, network: Upsampler) -> Upsampler:
        """A network on the device, ready to draw."""
        moved: Upsampler = network.eval().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return moved


def has_bfloat16() -> bool:
    """Whether the CPU multiplies in bfloat16 itself; elsewhere that is slower than float32."""
    return bool(torch.cpu._is_avx512_bf16_supported())
