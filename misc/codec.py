"""The codec: a picture to the bytes of a `.misc` file and back.

encode: image ─► Hyperprior.analyse ─► PixelLatents ─┐
                 description ──────────► Description ─┴─► misc.bits.streams ─► bytes
decode: bytes ─► misc.bits.streams ─► PixelLatents ─► Hyperprior.synthesise ─► image
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from PIL import Image

from misc.bits import streams
from misc.bits.container import MAX_PIXELS, MAX_SIDE
from misc.bits.description import Description
from misc.bits.latents import PixelLatents
from misc.bits.streams import Streams
from misc.errors import BudgetError, InputError, LimitError, WeightsError
from misc.models.profile import load_profile
from misc.pictures import to_rgb

if TYPE_CHECKING:
    from misc.models.hyperprior import Hyperprior

__all__ = ["MODES", "Codec", "Mode", "decode", "encode"]

Mode = Literal["text", "pixel", "misc"]
MODES: tuple[str, ...] = get_args(Mode)
DEFAULT_BPP = 0.024
TYPICAL_OCTAVES = 5.0  # of file size between the lowest and the highest quality: only where the search looks first


class Codec:
    """Encodes and decodes with one profile's models, loaded when first needed.

    Args:
        profile: a name of `misc.models.profile.profile_names`.
        device: a torch device; the GPU when there is one, else the CPU.
        max_pixels: the largest picture that is encoded or decoded.
    """

    def __init__(self, profile: str = "embedded", *, device: str | None = None, max_pixels: int = MAX_PIXELS) -> None:
        self.profile = load_profile(profile)
        self.device = device
        self.max_pixels = max_pixels

    @functools.cached_property
    def hyperprior(self) -> Hyperprior:
        """The pixel stream's network."""
        import torch

        from misc.models.hyperprior_weights import load_hyperprior

        device = self.device or ("cuda" if torch.cuda.is_available() else "cpu")
        return load_hyperprior(self.profile.hyperprior.path, device)

    def encode(
        self,
        image: Image.Image,
        *,
        mode: Mode = "misc",
        bpp: float | None = None,
        max_bytes: int | None = None,
        quality: int | None = None,
        description: Description | None = None,
        seed: int = 0,
    ) -> bytes:
        """Bytes of a `.misc` file.

        Args:
            image: any mode of Pillow.
            mode: `pixel`, `text`, or `misc`, which has every stream that can be had.
            bpp: bits of the whole file a pixel, at most (0.024 unless another limit is given).
            max_bytes: bytes of the whole file, at most. quality: of the pixel stream, 0 to 255, instead of a limit.
            description: the text stream. seed: of the decoder's noise.

        Raises:
            InputError: options that do not fit. LimitError: the picture is too large.
            BudgetError: no file is as small as demanded; the message names the least.
        """
        if mode not in MODES:
            raise InputError(f"there is no mode {mode!r}; there is {', '.join(MODES)}")
        if sum(limit is not None for limit in (bpp, max_bytes, quality)) > 1:
            raise InputError("give one of bpp, max_bytes and quality")
        if mode == "text" and description is None:
            raise InputError("mode text needs a description")
        self._check_size(image.size)
        text = None if mode == "pixel" else description
        bare = Streams(*image.size, seed, text)
        budget = math.floor((bpp or DEFAULT_BPP) * image.width * image.height / 8) if max_bytes is None else max_bytes
        if mode == "text":
            data = streams.encode(bare, self.profile.entropy_model, self.profile.text_coders)
            if (bpp or max_bytes) and len(data) > budget:
                raise BudgetError(shortfall(len(data), budget, image.size))
            return data
        pixels = np.asarray(to_rgb(image).image)
        if quality is not None:
            if not 0 <= quality <= 255:
                raise InputError("the quality is between 0 and 255")
            return self._file(bare, self.hyperprior.analyse(pixels, quality))
        return self._fit(bare, pixels, budget)

    def decode(
        self, data: bytes, *, seed: int | None = None, draft: bool = False, partial: bool = False
    ) -> Image.Image:
        """The picture of a `.misc` file.

        Args:
            seed: of the noise, instead of the file's. draft: the pixel stream's own picture, without a generator.
            partial: draw a file that was cut at the end of a section from the sections that it still has.

        Raises:
            BitstreamError, LimitError, ModelMismatchError: as `misc.bits.streams.decode`.
            WeightsError: the file needs a part that the profile does not have.
        """
        return self.draw(self.streams(data, partial=partial))

    def streams(self, data: bytes, *, partial: bool = False) -> Streams:
        """The streams of a `.misc` file, without drawing."""
        profile = self.profile
        return streams.decode(
            data, profile.entropy_model, profile.text_coders, max_pixels=self.max_pixels, partial=partial
        )

    def draw(self, content: Streams) -> Image.Image:
        """The picture of streams."""
        if content.pixels is None:
            raise WeightsError(f"profile {self.profile.name} has no generator to draw a file without pixels")
        return Image.fromarray(self.hyperprior.synthesise(content.pixels, content.width, content.height))

    def _file(self, bare: Streams, pixels: PixelLatents) -> bytes:
        whole = Streams(bare.width, bare.height, bare.seed, bare.text, pixels)
        return streams.encode(whole, self.hyperprior.entropy_model)

    def _fit(self, bare: Streams, pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], budget: int) -> bytes:
        """The file of the best quality within the budget, by bracketing on the logarithm of the file's size."""
        sizes: dict[int, int] = {}
        low, high, guess = -1, 256, 128
        best = data = b""
        while high - low > 1:
            data = self._file(bare, self.hyperprior.analyse(pixels, guess))
            sizes[guess] = len(data)
            if len(data) <= budget:
                low, best = guess, data
            else:
                high = guess
            octaves = TYPICAL_OCTAVES / 255
            if low in sizes and high in sizes and sizes[high] > sizes[low]:
                octaves = math.log2(sizes[high] / sizes[low]) / (high - low)
            guess += round(math.log2(max(budget, 1) / len(data)) / octaves)
            guess = min(max(guess, low + 1), high - 1)
        if not best:
            raise BudgetError(shortfall(len(data), budget, (bare.width, bare.height)))
        return best

    def _check_size(self, size: tuple[int, int]) -> None:
        width, height = size
        if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE) or width * height > self.max_pixels:
            raise LimitError(f"a picture of {width}x{height} is beyond the limit of {self.max_pixels} pixels")


def shortfall(least: int, budget: int, size: tuple[int, int]) -> str:
    """What to say of a budget that cannot be met."""
    bpp = 8 * least / (size[0] * size[1])
    return f"the smallest file of this picture has {least} bytes ({bpp:.4f} bpp); {budget} were allowed"


@functools.cache
def default_codec() -> Codec:
    return Codec()


def encode(image: Image.Image, *, mode: Mode = "misc", bpp: float | None = None, **options: object) -> bytes:
    """`Codec.encode` with the embedded profile."""
    return default_codec().encode(image, mode=mode, bpp=bpp, **options)  # type: ignore[arg-type]


def decode(data: bytes, *, seed: int | None = None, draft: bool = False, partial: bool = False) -> Image.Image:
    """`Codec.decode` with the embedded profile."""
    return default_codec().decode(data, seed=seed, draft=draft, partial=partial)
