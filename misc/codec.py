"""The codec: an image to the bytes of a `.misc` file and back.

encode: image, plan of `misc.modes` ─┬─► Semantics ──► Description, RegionMaps ─┐
                                     └─► Hyperprior ─► PixelLatents ────────────┴─► Streams ─► bytes
decode: bytes ─► Streams ─┬─► Hyperprior ─► draft ─► Decoder ─► image
                          └─► text (skeletons in words), regions ──┘
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from .bits import streams as exact
from .bits.container import MAX_PIXELS
from .bits.regions.maps import DEFAULT_GRID, RegionMaps, check_grid
from .bits.streams import Streams
from .bits.text.description import Description
from .decoder_profile import SamplingChanges
from .encoding import Wishes, encode_file
from .errors import BudgetError, InputError, UsageError, WeightsError
from .given import check_contents, check_data, check_sampling, natural, whole
from .images import check_image, upright
from .modes import LEAST, MODES, Mode, Notice, plan_of, see_missing, warn
from .profiles import load_profile
from .quick_torch import import_torch, usable_device, with_torch_defaults
from .rate_control import DEFAULT_EFFORT, limit_of

if TYPE_CHECKING:
    import torch

    from .models.decoder.cascade import Cascade
    from .models.decoder.decoder import Decoder, Progress
    from .models.decoder.scene import Scene
    from .models.describer.describer import Describer
    from .models.hyperprior.hyperprior import Hyperprior
    from .models.image_tensors import Pixels
    from .models.semantics import Semantics

__all__ = ["MODES", "Codec", "default_codec"]


class Codec:
    """Encoder and decoder with the models of one profile. A model is loaded when it is first needed.

    Args:
        profile: a name of `misc.profiles.profile_names`, or the path of a TOML file of your own.
        device: a torch device; if None, the GPU if there is one, else the CPU.
        describer: a name of `misc.models.describer.describer.describer_for`, or a `Describer`; None: the profile's.
        max_pixels: the largest image that is encoded or decoded.
        notice: called with one sentence if something was left out of a file or an image.
    """

    def __init__(
        self,
        profile: str | Path = "embedded",
        *,
        device: str | torch.device | None = None,
        describer: str | Describer | None = None,
        max_pixels: int = MAX_PIXELS,
        notice: Notice = warn,
    ) -> None:
        self.profile = load_profile(profile)
        self.device = None if device is None else str(device)
        self.describer = describer
        self.max_pixels = natural("largest number of pixels", max_pixels, 1)
        self.notice = notice

    def __getstate__(self) -> dict[str, object]:
        """What another process needs: the arguments, and no model that is loaded."""
        return {name: self.__dict__[name] for name in ("profile", "device", "describer", "max_pixels", "notice")}

    @functools.cached_property
    def hyperprior(self) -> Hyperprior:
        """The pixel stream's network."""
        import_torch()
        from .models.hyperprior.weights import load_hyperprior

        return load_hyperprior(self.profile.hyperprior.sound_path(), self._device())

    @functools.cached_property
    def semantics(self) -> Semantics:
        """Describer and locator."""
        from .models.semantics import Semantics

        return Semantics(self.profile, self.device and self._device(), self.describer)

    @functools.cached_property
    def decoder(self) -> Decoder | Cascade:
        """The network that draws images, if the profile has one: the embedded decoder or a diffusion model."""
        import_torch()
        if self.profile.decoder is None:
            from .models.decoder.cascade_weights import load_cascade

            return load_cascade(self.profile, self._device(), self.hyperprior, self.semantics.embed_texts)
        from .models.decoder.weights import load_decoder

        return load_decoder(self.profile, self._device())

    def _device(self) -> str:
        import torch

        return usable_device(self.device or ("cuda" if torch.cuda.is_available() else "cpu"))

    @with_torch_defaults
    def see(
        self, image: Image.Image, items: int = 3, grid: int = DEFAULT_GRID
    ) -> tuple[Description, RegionMaps | None]:
        """What is in an image and where, for `encode`; raises DescriberError and WeightsError as it does.

        Args:
            image: any mode of Pillow.
            items: largest number of items to name and to locate.
            grid: number of cells of the region maps on the image's shorter side, one of GRIDS.
        """
        check_image(image, self.max_pixels)
        return self.semantics.see(upright(image), natural("number of items", items), check_grid(grid))

    @with_torch_defaults
    def encode(
        self,
        image: Image.Image,
        *,
        mode: str | None = None,
        streams: Collection[str] | None = None,
        bpp: float | None = None,
        ubpp: float | None = None,
        max_bytes: int | None = None,
        quality: int | None = None,
        description: Description | None = None,
        regions: RegionMaps | None = None,
        grid: int = DEFAULT_GRID,
        seed: int | None = None,
        candidates: int = 1,
        reflect: int | None = None,
        trace: Path | None = None,
        effort: int = DEFAULT_EFFORT,
        verify: bool = True,
    ) -> bytes:
        """Bytes of a `.misc` file. If the file needs text or regions that are not given, they are made from the image.

        Args:
            image: any mode of Pillow; turned upright as its EXIF data say.
            mode: as in `misc.modes`: `dlsvc`, `micro`, `text`, `text+map`, `pixel`, `auto`, or `misc`, the default.
            streams: instead of a mode, which of `text`, `regions` and `pixels` the file holds.
            bpp: largest bitrate of the whole file, in bits per pixel (default 0.024 with pixels, else no limit).
            ubpp: the same in millionths of a bit per pixel; in mode micro, of the text's code alone, as in its paper.
            max_bytes: largest size of the whole file in bytes.
            quality: of the pixel stream, 0 to 255, instead of a limit.
            description: the text stream; it is shortened if it does not fit.
            regions: the region stream, one map for each of the text's items, if it has any; left out if no cell is set.
            grid: as in `see`, for maps that are made here.
            seed: stored in the file, 0 to 2^32 - 1, see docs/decoder.md; if None, 0 or the encoder's choice.
            candidates: number of seeds to try, as in `misc.closed_loop`; the file gets the one whose image is best.
            reflect: rounds of reflection on the text; if None, one in mode micro above 500 ubpp, else none.
            trace: folder for a page about the rounds.
            effort: rounds in which the pixel stream's symbols are optimised (RDOQ); 0 is fast, and needs more bits.
            verify: decode the file's symbols again and compare them before it is returned.

        Raises:
            InputError: options contradict each other, or an argument is not an image, text or map.
            LimitError: the image is too large.
            BudgetError: no file is small enough; the message gives the smallest size.
            WeightsError: a stream cannot be made (mode misc leaves it out), or the file decodes to other symbols.
            DescriberError: the describer found no words.
        """
        check_image(image, self.max_pixels)
        image, quality, seed = upright(image), whole("quality", quality), whole("seed", seed)
        pixels = mode == Mode.AUTO or "pixels" in plan_of(mode, streams).streams
        size, of_code = image.size, mode == Mode.MICRO
        limit = limit_of(size, bpp=bpp, ubpp=ubpp, max_bytes=max_bytes, quality=quality, pixels=pixels, of_code=of_code)
        plan = plan_of(mode, streams, limit.rate(size))
        wishes = Wishes(plan, limit, quality, seed, candidates, verify, reflect, trace, effort)
        text, maps = see_missing(plan, image, description, regions, check_grid(grid), self.semantics, self.notice)
        full = Streams(*size, seed or 0, text, maps)
        try:
            return encode_file(self, image, full, wishes)
        except BudgetError as error:
            if mode != Mode.AUTO or plan == LEAST or full.text is None:
                raise
            self.notice(f"no pixels are written: {error}")
            return encode_file(self, image, full, dataclasses.replace(wishes, plan=LEAST))

    def decode(
        self,
        data: bytes,
        *,
        seed: int | None = None,
        draft: bool = False,
        partial: bool = False,
        progress: Progress | None = None,
        sampling: SamplingChanges | None = None,
    ) -> Image.Image:
        """The image of a `.misc` file.

        Args:
            data: bytes of the file.
            seed: instead of the file's; without pixels in the embedded profile, the place after the likeliest photo.
            draft: return the pixel stream's own image. A profile without a decoder always does so.
            partial: if the file was cut at the end of a section, draw it from the sections that are left.
            progress, sampling: as in `draw`.

        Raises:
            BitstreamError, LimitError, ModelMismatchError: as in `misc.bits.streams.decode`; others as in `draw`.
        """
        content = self.streams(data, partial=partial)
        return self.draw(content, seed=seed, draft=draft, progress=progress, sampling=sampling)

    def streams(self, data: bytes, *, partial: bool = False) -> Streams:
        """The streams of a `.misc` file, without drawing; raises as `decode`."""
        return exact.decode(check_data(data), self.profile.exact_models, max_pixels=self.max_pixels, partial=partial)

    def write(self, content: Streams) -> bytes:
        """The `.misc` file of streams as they are, the inverse of `streams`; InputError if they do not fit together."""
        return exact.encode(check_contents([content])[0], self.profile.exact_models)

    def draw(
        self,
        content: Streams,
        *,
        seed: int | None = None,
        draft: bool = False,
        progress: Progress | None = None,
        sampling: SamplingChanges | None = None,
    ) -> Image.Image:
        """The image of streams.

        Args:
            content: as returned by `streams`.
            seed, draft: as in `decode`.
            progress: called with the number of finished steps and of all steps.
            sampling: changes of the profile's sampling.

        Raises:
            InputError: a change is out of its range, or nothing is sampled.
            WeightsError: the streams need a part that the profile does not have, or whose weights are missing.
        """
        return self.draw_many([content], seed=seed, draft=draft, progress=progress, sampling=sampling)[0]

    @with_torch_defaults
    def draw_many(
        self,
        contents: Sequence[Streams],
        *,
        seed: int | None = None,
        draft: bool = False,
        progress: Progress | None = None,
        sampling: SamplingChanges | None = None,
    ) -> list[Image.Image]:
        """Images of many streams, each the same as by `draw`; a GPU draws images of one size in a batch."""
        contents, sampling = check_contents(contents), check_sampling(sampling)
        given = ({} if sampling is None else sampling.values()) | ({"seed": seed} if draft and seed is not None else {})
        if given and (draft or self.profile.decoder is None):
            lacking = "a draft is drawn without a" if draft else f"profile {self.profile.name} has no"
            raise UsageError(f"{lacking} generator, so there is no {', '.join(given)}")
        if draft or not self.profile.draws:
            return [Image.fromarray(self._draft(content)) for content in contents]
        scenes = [self._scene(content, whole("seed", seed)) for content in contents]
        return [Image.fromarray(drawn) for drawn in self.decoder.draw_many(scenes, progress=progress, changes=sampling)]

    def _draft(self, content: Streams) -> Pixels:
        """The pixel stream's own image."""
        if content.pixels is None:
            if self.profile.draws:
                raise InputError("a file without pixels has no draft")
            raise WeightsError(f"profile {self.profile.name} has no generator to draw a file without pixels")
        return self.hyperprior.synthesise(content.pixels, content.width, content.height)

    def _scene(self, content: Streams, seed: int | None) -> Scene:
        """The decoder's input: the streams with their text in words, and the draft."""
        from .models.decoder.scene import Scene

        content = self.words_of(content)
        if seed is not None:
            content = self.decoder.reseed(content, seed)
        return Scene(content, None if content.pixels is None else self._draft(content))

    def words_of(self, content: Streams) -> Streams:
        """Streams whose skeletons are expanded into words; unchanged if the model for that is missing."""
        if content.text is None or not content.text.consonants:
            return content
        from .models.language_model.skeleton import expand_description

        try:
            words = expand_description(content.text, self.profile.language_model.sound_path())
        except WeightsError as error:
            self.notice(f"the text is drawn by its consonants: {error}")
            return content
        return dataclasses.replace(content, text=words)


@functools.cache
def default_codec() -> Codec:
    """The embedded profile's codec, which `misc.encode` and `misc.decode` use."""
    return Codec()
