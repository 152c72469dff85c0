"""The panel: all metrics in one call, with a reason for each metric that cannot run.

    panel = Panel(codec.semantics)
    panel.compare(original, image)  # {"psnr": ..., "st_lpips": ..., "vit_patch": ..., "vit_mean": ..., "clip": ...}

Intermediate results that several metrics need, such as the vision tower's tokens, are computed once and kept for the
next call. So the original is processed only once for many decoded images.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from PIL import Image

from ...errors import InputError, MiscError
from ...images import psnr
from .catalogue import METRICS, OWN
from .own import open_metric
from .st_lpips import StLpips

if TYPE_CHECKING:
    from ...models.semantics import Semantics
    from ...models.towers.look import Look
    from .vision import Vision

__all__ = ["USUAL", "Figures", "Panel"]

USUAL = ("psnr", "st_lpips", "vit_patch", "vit_mean", "clip")
KEPT = 2  # number of images with kept results: the original and the decoded one

T = TypeVar("T")
Distance = Callable[[Image.Image, Image.Image], float]


@dataclass(frozen=True)
class Figures:
    """Figures of one image by metric, and the reasons of the metrics that could not run."""

    values: dict[str, float] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


class Panel:
    """Metrics of decoded images.

    Args:
        semantics: of a codec; its tower, CLIP and describer are shared, and loaded when first needed.
        names: of `METRICS`, those of single images.

    Attributes:
        missing: for every metric that cannot run here, the reason.

    Raises:
        InputError: there is no such metric.
    """

    def __init__(self, semantics: Semantics, names: Sequence[str] = USUAL) -> None:
        self.semantics = semantics
        self.missing: dict[str, str] = {}
        self._distances: dict[str, Distance] = {}
        self._look = remember_two(self._see)
        self._caption = remember_two(self._describe)
        self._caption_in_clip = remember_two(lambda image: self.vision.embed_texts([self._caption(image)])[0])
        self._caption_in_text = remember_two(lambda image: self.vision.embed_sentence(self._caption(image)))
        loaders = self._loaders()
        for name in names:
            if name not in loaders:
                raise InputError(f"there is no metric {name!r} of an image; there is {', '.join(loaders)}")
            try:
                self._distances[name] = loaders[name]()
            except (MiscError, ImportError) as error:
                self.missing[name] = str(error)

    @functools.cached_property
    def vision(self) -> Vision:
        """The vision tower and CLIP."""
        from .vision import Vision

        return Vision(self.semantics)

    def compare(self, original: Image.Image, image: Image.Image) -> dict[str, float]:
        """Figures of a decoded image, of every metric that can run.

        Args:
            original, image: RGB, of one size.

        Returns:
            {metric: figure}, as `METRICS` says: PSNR in dB, infinite for equal images; distances that are 0 for equal
            images; cosines and SSIM, which are 1 for them.

        Raises:
            InputError: the sizes differ.
        """
        return self.figures(original, image).values

    def figures(self, original: Image.Image, image: Image.Image) -> Figures:
        """As `compare`, with the reasons of the metrics that could not run on this image."""
        if original.size != image.size:
            sizes = "{}x{} and {}x{}".format(*original.size, *image.size)
            raise InputError(f"images of {sizes} cannot be compared")
        values, missing = {}, dict(self.missing)
        for name, distance in self._distances.items():
            try:
                value = distance(original, image)
            except MiscError as error:
                missing[name] = str(error)
                continue
            if math.isnan(value):
                missing[name] = f"{METRICS[name].label} is not a number for this image"
            else:
                values[name] = value
        return Figures(values, missing)

    def _see(self, image: Image.Image) -> Look:
        return self.vision.look(image)

    def _describe(self, image: Image.Image) -> str:
        return self.vision.caption(image)

    def _loaders(self) -> dict[str, Callable[[], Distance]]:
        """For each metric, the loader of its function, which raises if it cannot run."""
        look, caption, sentence = self._look, self._caption_in_clip, self._caption_in_text
        return {
            "psnr": lambda: lambda a, b: psnr(a.convert("RGB"), b.convert("RGB")),
            "ssim": load_ssim,
            "ms_ssim": load_ms_ssim,
            "st_lpips": load_st_lpips,
            "lpips": load_lpips,
            "dists": load_dists,
            "vgg": lambda: load_vgg(self.semantics),
            "vit_patch": lambda: lambda a, b: look(a).structure(look(b)),
            "vit_mean": lambda: lambda a, b: look(a).content(look(b)),
            "clip": lambda: lambda a, b: look(a).clip(look(b)),
            "clip_text": lambda: lambda a, b: look(b).of_text(caption(a)),
            "caption": lambda: lambda a, b: float(sentence(a) @ sentence(b)),
            **{name: functools.partial(open_metric, name, made) for name, made in OWN.items()},
        }


def remember_two(function: Callable[[Image.Image], T]) -> Callable[[Image.Image], T]:
    """The function with a cache for the last two images."""
    known: list[tuple[Image.Image, T]] = []

    def remembered_call(image: Image.Image) -> T:
        pair = next((each for each in known if each[0] is image), None) or (image, function(image))
        known[:] = [pair, *(each for each in known if each[0] is not image)][:KEPT]
        return pair[1]

    return remembered_call


def load_ssim() -> Distance:
    from .fidelity import ssim

    return ssim


def load_ms_ssim() -> Distance:
    from .fidelity import ms_ssim

    return ms_ssim


def load_lpips() -> Distance:
    from . import backbones

    return backbones.load_lpips()


def load_dists() -> Distance:
    from . import backbones

    return backbones.load_dists()


def load_vgg(semantics: Semantics) -> Distance:
    from . import backbones

    return backbones.load_vgg(semantics.profile.packages["vgg"].path).distance


def load_st_lpips() -> Distance:
    """ST-LPIPS, with the features of the last images kept."""
    metric = StLpips("alex")
    features = remember_two(metric.features)
    return lambda original, image: metric.distance(features(original), features(image))
