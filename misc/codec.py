"""The codec: a picture to the bytes of a `.misc` file and back.

encode: image ─► Hyperprior.analyse ─► PixelLatents ─┐
                 description ──────────► Description ─┼─► misc.bits.streams ─► bytes
                 regions ──────────────► RegionMaps ──┘
decode: bytes ─► misc.bits.streams ─► PixelLatents ─► Hyperprior.synthesise ─► draft ─┐
                                     Description, RegionMaps ────────────────────────┴─► Decoder.draw ─► image
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from .bits import streams
from .bits.container import MAX_PIXELS, MAX_SIDE, Section
from .bits.pixels import latents
from .bits.regions.maps import RegionMaps
from .bits.streams import Streams, pixel_section
from .bits.text import TextCoder
from .bits.text.consonants import Consonants, choose, skeletons
from .bits.text.description import MAX_WORDS, Description
from .bits.text.lzw import Lzw, fold
from .errors import BitstreamError, BudgetError, InputError, LimitError, WeightsError
from .images import to_rgb
from .modes import MODES, Mode
from .profiles import load_profile
from .rate_control import best_within, shortfall

if TYPE_CHECKING:
    from .models.decoder.cascade import Cascade
    from .models.decoder.decoder import Decoder, Progress
    from .models.decoder.scene import Scene
    from .models.hyperprior.hyperprior import Hyperprior
    from .models.semantics import Semantics

__all__ = ["Codec", "decode", "encode"]

DEFAULT_BPP = 0.024
Pixels = npt.NDArray[np.uint8]


class Codec:
    """Encodes and decodes with one profile's models, loaded when first needed.

    Args:
        profile: a name of `misc.profiles.profile_names`.
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
        from .models.hyperprior.weights import load_hyperprior

        return load_hyperprior(self.profile.hyperprior.checked(), self._device())

    @functools.cached_property
    def semantics(self) -> Semantics:
        """Describer and locator."""
        from .models.semantics import Semantics

        return Semantics(self.profile, self.device)

    @functools.cached_property
    def decoder(self) -> Decoder | Cascade:
        """What draws images, if the profile has one: the embedded decoder or a diffusion model."""
        if self.profile.decoder is None:
            from .models.decoder.cascade_weights import load_cascade

            return load_cascade(self.profile, self._device(), self.hyperprior, self.semantics.embed_texts)
        from .models.decoder.weights import load_decoder

        return load_decoder(self.profile, self._device())

    def _device(self) -> str:
        import torch

        return self.device or ("cuda" if torch.cuda.is_available() else "cpu")

    def see(self, image: Image.Image, items: int = 3) -> tuple[Description, RegionMaps | None]:
        """What is in a picture and where, for `encode`.

        Args:
            image: any mode of Pillow. items: how many things to name and to locate, at most.

        Raises:
            DescriberError: the describer found no words. WeightsError: describer or locator are not here.
        """
        return self.semantics.see(to_rgb(image).image, items)

    def encode(
        self,
        image: Image.Image,
        *,
        mode: Mode = "misc",
        bpp: float | None = None,
        max_bytes: int | None = None,
        quality: int | None = None,
        description: Description | None = None,
        regions: RegionMaps | None = None,
        seed: int = 0,
        verify: bool = True,
    ) -> bytes:
        """Bytes of a `.misc` file.

        Args:
            image: any mode of Pillow.
            mode: `pixel`; `text`; `text+map`, text and regions; `dlsvc`, text in 26 letters by LZW; `micro`, as many
                skeletons of the text's words as the limit admits; or `misc`, which has every stream that can be had.
            bpp: bits of the whole file a pixel, at most (0.024 unless another limit is given).
            max_bytes: bytes of the whole file, at most. quality: of the pixel stream, 0 to 255, instead of a limit.
            description: the text stream. seed: of the decoder's noise.
            regions: the region stream, one map for each of the text's items, if it has any; left out in modes without
                regions, and when no cell is set.
            verify: decode the file's symbols again and compare them, before it is returned.

        Raises:
            InputError: options that do not fit. LimitError: the picture is too large.
            WeightsError: weights are missing or damaged, or the file does not decode to what was encoded.
            BudgetError: no file is as small as demanded; the message names the least.
        """
        if mode not in MODES:
            raise InputError(f"there is no mode {mode!r}; there is {', '.join(MODES)}")
        if sum(limit is not None for limit in (bpp, max_bytes, quality)) > 1:
            raise InputError("give one of bpp, max_bytes and quality")
        if mode not in ("pixel", "misc") and description is None:
            raise InputError(f"mode {mode} needs a description")
        if mode == "text+map" and regions is None:
            raise InputError("mode text+map needs region maps")
        if quality is not None and not 0 <= quality <= 255:
            raise InputError("the quality is between 0 and 255")
        self._check_size(image.size)
        budget = max_bytes
        if bpp is not None or (max_bytes is None and quality is None and mode in ("pixel", "misc")):
            budget = math.floor((DEFAULT_BPP if bpp is None else bpp) * image.width * image.height / 8)
        content = Streams(*image.size, seed)
        coders: Sequence[TextCoder] = self.profile.text_coders
        if description is not None and mode != "pixel":
            text, coders = self._text(content, description, mode, budget)
            content = dataclasses.replace(content, text=text)
        if regions is not None and regions.masks.any() and mode in ("text+map", "misc"):
            content = dataclasses.replace(content, regions=regions)
        sections = streams.pack(content, self.profile.entropy_model, coders)
        if mode not in ("pixel", "misc"):
            data = self._write(content, sections)
            if budget is not None and len(data) > budget:
                raise BudgetError(shortfall(len(data), budget, image.size))
            return self._verified(data, verify)
        pixels = np.asarray(to_rgb(image).image)
        if budget is None:
            assert quality is not None
            return self._verified(self._write(content, sections | self._pixels(pixels, quality)), verify)
        data = best_within(
            lambda guess: self._write(content, sections | self._pixels(pixels, guess)), budget, image.size
        )
        return self._verified(data, verify)

    def decode(
        self,
        data: bytes,
        *,
        seed: int | None = None,
        draft: bool = False,
        partial: bool = False,
        progress: Progress | None = None,
        **sampling: Any,
    ) -> Image.Image:
        """The picture of a `.misc` file.

        Args:
            seed: of the noise, instead of the file's. draft: the pixel stream's own picture, without a generator; all
                that a profile without a decoder draws.
            partial: draw a file that was cut at the end of a section from the sections that it still has.
            progress, sampling: as `draw`.

        Raises:
            BitstreamError, LimitError, ModelMismatchError: as `misc.bits.streams.decode`.
            InputError, WeightsError: as `draw`.
        """
        return self.draw(self.streams(data, partial=partial), seed=seed, draft=draft, progress=progress, **sampling)

    def streams(self, data: bytes, *, partial: bool = False) -> Streams:
        """The streams of a `.misc` file, without drawing."""
        profile = self.profile
        return streams.decode(
            data, profile.entropy_model, profile.text_coders, max_pixels=self.max_pixels, partial=partial
        )

    def draw(
        self,
        content: Streams,
        *,
        seed: int | None = None,
        draft: bool = False,
        progress: Progress | None = None,
        **sampling: Any,
    ) -> Image.Image:
        """The picture of streams.

        Args:
            seed, draft: as `decode`. progress: called with the steps done and all steps.
            sampling: steps, guidance, strength or fusion, as `misc.decoder_profile.Sampling`, where they are not
                to be the profile's.

        Raises:
            InputError: such a choice is out of its range, or the profile has nothing that it could be of.
            WeightsError: the streams need a part that the profile does not have, or whose weights are not here.
        """
        return self.draw_many([content], seed=seed, draft=draft, progress=progress, **sampling)[0]

    def draw_many(
        self,
        contents: Sequence[Streams],
        *,
        seed: int | None = None,
        draft: bool = False,
        progress: Progress | None = None,
        **sampling: Any,
    ) -> list[Image.Image]:
        """Pictures of many streams, each as `draw` alone; a GPU draws those of one size together."""
        if sampling and self.profile.decoder is None and not draft:
            raise InputError(f"profile {self.profile.name} has no generator whose {', '.join(sampling)} to choose")
        if draft or not self.profile.draws:
            return [Image.fromarray(self._draft(content)) for content in contents]
        decoder = self.decoder
        scenes = [self._scene(content, seed) for content in contents]
        return [Image.fromarray(drawn) for drawn in decoder.draw_many(scenes, progress=progress, **sampling)]

    def _draft(self, content: Streams) -> Pixels:
        """The pixel stream's own picture."""
        if content.pixels is None:
            if self.profile.draws:
                raise InputError("a file without pixels has no draft")
            raise WeightsError(f"profile {self.profile.name} has no generator to draw a file without pixels")
        return self.hyperprior.synthesise(content.pixels, content.width, content.height)

    def _scene(self, content: Streams, seed: int | None) -> Scene:
        """What the decoder is given of streams."""
        from .models.decoder.scene import Scene

        draft = None if content.pixels is None else self._draft(content)
        return Scene(content if seed is None else self.decoder.reseed(content, seed), draft)

    def _text(
        self, content: Streams, text: Description, mode: str, budget: int | None
    ) -> tuple[Description, Sequence[TextCoder]]:
        """The text as the mode has it, and the coders that may code it."""
        if mode == "dlsvc":
            return Description(fold(text.overall)), (Lzw(),)
        if mode == "micro":
            words, coders = " ".join(text.fields()), (Consonants(),)
            empty = dataclasses.replace(content, text=Description())
            overhead = len(streams.encode(empty, self.profile.entropy_model, coders))
            chosen = words if budget is None else choose(words, 8 * max(0, budget - overhead))
            return Description(" ".join(skeletons(chosen).split()[:MAX_WORDS])), coders
        return text, self.profile.text_coders

    def _pixels(self, pixels: Pixels, quality: int) -> dict[str, Section]:
        """The image's pixel section at a quality."""
        found = self.hyperprior.analyse(pixels, quality)
        return {"pixels": pixel_section(found, latents.pack(found, self.hyperprior.entropy_model))}

    def _write(self, content: Streams, sections: dict[str, Section]) -> bytes:
        return streams.write(content, sections, self.profile.entropy_model)

    def _verified(self, data: bytes, verify: bool) -> bytes:
        """The bytes, once their symbols are decoded and found to be those that were encoded."""
        try:
            if verify:
                self.streams(data)
        except BitstreamError as error:
            raise WeightsError(f"the file would not decode to what was encoded ({error}): see `misc doctor`") from error
        return data

    def _check_size(self, size: tuple[int, int]) -> None:
        width, height = size
        if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE) or width * height > self.max_pixels:
            raise LimitError(f"a picture of {width}x{height} is beyond the limit of {self.max_pixels} pixels")


@functools.cache
def default_codec() -> Codec:
    return Codec()


def encode(image: Image.Image, *, mode: Mode = "misc", bpp: float | None = None, **options: object) -> bytes:
    """`Codec.encode` with the embedded profile."""
    return default_codec().encode(image, mode=mode, bpp=bpp, **options)  # type: ignore[arg-type]


def decode(
    data: bytes, *, seed: int | None = None, draft: bool = False, partial: bool = False, **sampling: Any
) -> Image.Image:
    """`Codec.decode` with the embedded profile."""
    return default_codec().decode(data, seed=seed, draft=draft, partial=partial, **sampling)
