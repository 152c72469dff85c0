"""The decoder: ControlNet-conditioned latent diffusion that fuses text, regions and pixels into one image.

    description ─► text encoder ─► keys ─┐ regional attention
    regions ─────► masks ────────► bias ─┤
    pixels ─► [upsampler] ─► ControlNets ┼─► UNet, step by step, tile by tile ─► VAE ─► colours of the pixels ─► image
                    └─► VAE, noised to the strength ─┘
    seed ────────► noise (Philox)

Any subset of the streams is drawn, by any UNet, ControlNets, VAE and scheduler of diffusers.
Sources: Rombach 2022 (arXiv 2112.10752), Zhang 2023 (arXiv 2302.05543), Li 2024 (MISC, arXiv 2402.16749).
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from ...bits.streams import Streams
from ...decoder_profile import Sampling, SamplingChanges
from ..image_tensors import Pixels, to_pixels
from .autoencoding import decode, encode
from .colour import correct
from .denoiser import Denoiser, Guide, predictor
from .fusion import calls, guide_of, in_sequence, item_guides, item_steps
from .noise import gaussian
from .sampling import sample
from .scene import Frame, Scene, control, draft_planes, frame_of, join_batch
from .sharpen import Sharpener
from .text_encoders import TextEncoder

__all__ = ["ControlPart", "Decoder", "Parts", "Progress", "Scene"]

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ControlPart:
    """A ControlNetModel, what it is shown (`draft`, `canny`, `hed`), its scale, its detector's weights."""

    net: Any
    kind: str = "draft"
    scale: float = 1.0
    detector: Path | None = None


@dataclass(frozen=True)
class Parts:
    """UNet2DConditionModel, AutoencoderKL, any scheduler of diffusers, text encoder, ControlNets."""

    unet: Any
    vae: Any
    scheduler: Any
    text: TextEncoder
    controls: tuple[ControlPart, ...] = ()


class Decoder:
    """Draws images of scenes.

    Args:
        parts: the networks, in evaluation mode; they are moved to the device and the data type.
        sampling: what is done unless a call says otherwise.
        sharpener: draws the pixel stream's image sharp before ControlNets and VAE see it; None leaves it as it is.
        native, tile: side that the networks were trained at, longest side drawn in one piece; a tile is a multiple of
            what the networks need (64 for Stable Diffusion 1.5).
        text_steps: as `DecoderProfile`.
        dtype: of UNet, ControlNets and text encoder; by default float16 on a GPU, float32 elsewhere.
        offload: keep only the network at work on the device.
        compile_mode: of torch.compile, as `DecoderProfile`; empty for none.
        batch: images that a GPU draws at once.
    """

    def __init__(
        self,
        parts: Parts,
        sampling: Sampling,
        *,
        sharpener: Sharpener | None = None,
        native: int = 512,
        tile: int = 768,
        text_steps: int | None = None,
        device: str | torch.device = "cpu",
        dtype: torch.dtype | None = None,
        offload: bool = False,
        compile_mode: str = "",
        batch: int = 4,
    ) -> None:
        self.sampling, self.sharpener = sampling, sharpener
        self.native, self.tile = native, tile
        self.text_steps = text_steps
        self.device = torch.device(device)
        self.dtype = dtype or (torch.float16 if self.device.type == "cuda" else torch.float32)
        self.offload = offload
        self.batch = batch if self.device.type == "cuda" else 1
        self.scheduler, self.text, self.controls = parts.scheduler, parts.text, parts.controls
        wide_on_cpu = self.device.type == "cpu" and self.dtype == torch.float32  # there channels last is 2 % slower
        layout = torch.contiguous_format if wide_on_cpu else torch.channels_last
        self.denoiser = Denoiser(
            parts.unet, [each.net for each in self.controls], [each.scale for each in self.controls]
        )
        self.denoiser.to(self.dtype).to(memory_format=layout)
        wide = (
            bool(parts.vae.config.get("force_upcast")) and self.dtype == torch.float16
        )  # beyond half precision's range
        self.vae = parts.vae
        # Module's own `to`: diffusers' would warn of the type, which is chosen here.
        torch.nn.Module.to(self.vae, torch.float32 if wide else self.dtype)
        torch.nn.Module.to(self.vae, memory_format=layout)
        self.channels = int(parts.unet.config.in_channels)
        self.factor: int = 2 ** (len(parts.vae.config.block_out_channels) - 1)
        self.step: Callable[..., Tensor] = self.denoiser
        if compile_mode:
            self.step = torch.compile(self.denoiser, mode=compile_mode)
        if not offload:
            for net in (self.denoiser, self.vae, self.text):
                net.to(self.device)

    def draw(self, scene: Scene, *, progress: Progress | None = None, changes: SamplingChanges | None = None) -> Pixels:
        """The image of a scene, (height, width, 3) uint8; the same bytes as in any batch on a CPU.

        Args:
            progress: called with the steps done and all steps.
            changes: of the sampling.

        Raises:
            InputError: a change is out of its range.
        """
        return self.draw_many([scene], progress=progress, changes=changes)[0]

    def candidates(self, streams: Streams, count: int, tokens: object = None) -> list[int]:
        """Seeds that an encoder may try, of which each gives other noise."""
        return list(range(count))

    def settle(self, streams: Streams) -> Streams:
        """Streams that draw the same on every machine: as they are, since nothing is searched for here."""
        return streams

    def reseed(self, streams: Streams, seed: int) -> Streams:
        """Streams for another image of the same file."""
        return dataclasses.replace(streams, seed=seed)

    @torch.inference_mode()
    def draw_many(
        self, scenes: Sequence[Scene], *, progress: Progress | None = None, changes: SamplingChanges | None = None
    ) -> list[Pixels]:
        """Images of scenes, in their order: on a GPU those of one size in batches, else one after another."""
        changes = changes or SamplingChanges()
        of_text = SamplingChanges(steps=self.text_steps).apply(self.sampling)
        choices = {True: changes.apply(self.sampling), False: changes.apply(of_text)}
        total, done = sum(calls(scene, choices[scene.draft is not None]) for scene in scenes), 0
        drawn: list[Pixels | None] = [None] * len(scenes)
        order = sorted(range(len(scenes)), key=lambda k: scenes[k].kind())
        for _, alike in itertools.groupby(order, key=lambda k: scenes[k].kind()):
            places = list(alike)
            sampling = choices[scenes[places[0]].draft is not None]
            size = 1 if sampling.fusion == "sequential" else self.batch
            for chosen in (places[k : k + size] for k in range(0, len(places), size)):

                def on_step(count: int = len(chosen)) -> None:
                    nonlocal done
                    done += count
                    if progress is not None:
                        progress(done, total)

                for k, pixels in zip(chosen, self._draw([scenes[k] for k in chosen], sampling, on_step), strict=True):
                    drawn[k] = pixels
        return [pixels for pixels in drawn if pixels is not None]

    def _draw(self, scenes: Sequence[Scene], sampling: Sampling, on_step: Callable[[], None]) -> list[Pixels]:
        """Images of scenes of one kind."""
        latents, frame = self.latents(scenes, sampling, on_step)
        with self._at_work(self.vae):
            fields = decode(self.vae, latents, frame, self.tile // self.factor)
        return [finish(field, scene, frame, sampling) for field, scene in zip(fields, scenes, strict=True)]

    @torch.inference_mode()
    def latents(
        self, scenes: Sequence[Scene], sampling: Sampling, on_step: Callable[[], None] = lambda: None
    ) -> tuple[Tensor, Frame]:
        """Latents (B, C, rows, columns) float32 that the VAE decodes to images, and their sizes.

        Args:
            scenes: B of one kind.
            sampling: of all of them.
            on_step: called after every step.
        """
        multiple = 2 ** (self.denoiser.levels - 1)
        frame = frame_of(scenes[0], native=self.native, tile=self.tile, factor=self.factor, multiple=multiple)
        conditions = [self._condition(scene) for scene in scenes]
        drafts = [None if each is None else draft_planes(each, frame) for each in conditions]
        controls = [self._control_planes(part, scenes, drafts, frame) for part in self.controls]
        shown, start = join_batch(drafts), None
        if shown is not None:
            with self._at_work(self.vae):
                start = encode(self.vae, shown, frame, self.tile // self.factor, self.device)
        with self._at_work(self.text):
            guide = guide_of(self.text, scenes, frame, controls, sampling)
            items = []
            if in_sequence(scenes[0], sampling):
                items = item_guides(self.text, scenes[0], frame, controls, sampling)
        seeds = [scene.streams.seed for scene in scenes]
        with self._at_work(self.denoiser):
            if items and start is None:
                start = self._sample(guide, seeds, None, sampling, sampling.steps, on_step)
            for k, (each, mask) in enumerate(items):  # MISC's way: a few steps an item, pasted by its mask
                assert start is not None
                drawn = self._sample(each, seeds, start, sampling, item_steps(sampling), on_step, stream=k + 1)
                start = torch.lerp(start, drawn, mask.to(self.device))
            return self._sample(guide, seeds, start, sampling, sampling.steps, on_step), frame

    def _condition(self, scene: Scene) -> Pixels | None:
        """What stands for the pixel stream: its own image, or that drawn sharp."""
        if self.sharpener is None or scene.draft is None:
            return scene.draft
        return self.sharpener.draw(scene.draft, scene.quality, scene.streams.seed)

    def _control_planes(
        self, part: ControlPart, scenes: Sequence[Scene], drafts: Sequence[Tensor | None], frame: Frame
    ) -> Tensor | None:
        """What a ControlNet is shown of scenes of one kind."""
        channels = int(part.net.config.conditioning_channels)
        fields = [
            control(scene, frame, shown, kind=part.kind, channels=channels, detector=part.detector)
            for scene, shown in zip(scenes, drafts, strict=True)
        ]
        field = join_batch(fields)
        if field is None:
            return None
        halvings = len(part.net.config.conditioning_embedding_out_channels) - 1
        shrink = max(1, self.factor // 2**halvings)  # 1 for Stable Diffusion's; 4 where the draft is shown at a quarter
        return functional.avg_pool2d(field, shrink).to(self.device)

    def _sample(
        self,
        guide: Guide,
        seeds: Sequence[int],
        start: Tensor | None,
        sampling: Sampling,
        steps: int,
        on_step: Callable[[], None],
        stream: int = 0,
    ) -> Tensor:
        """Latents (B, C, rows, columns) float32, from noise or from noised latents."""
        shape = (self.channels, *guide.planes.shape[2:])
        noise = torch.from_numpy(np.stack([gaussian(seed, shape, stream) for seed in seeds])).to(self.device)
        tile, levels = self.tile // self.factor, self.denoiser.levels
        predict = predictor(self.step, guide, levels=levels, tile=tile, overlap=tile // 4, dtype=self.dtype)
        return sample(
            predict,
            self.scheduler,
            noise,
            steps=steps,
            strength=sampling.strength,
            latents=start,
            seeds=seeds,
            eta=sampling.eta,
            on_step=on_step,
        )

    @contextlib.contextmanager
    def _at_work(self, net: Any) -> Iterator[None]:
        """A network on the device; with offloading, only as long as it is needed."""
        if self.offload:
            net.to(self.device)
        try:
            yield
        finally:
            if self.offload:
                net.to(torch.device("cpu"))


def finish(field: Tensor, scene: Scene, frame: Frame, sampling: Sampling) -> Pixels:
    """The image in its size and colours, from (3, H, W) in [0, 1]."""
    drawn = to_pixels(field[:, : frame.height, : frame.width])
    size = (scene.streams.width, scene.streams.height)
    if (frame.width, frame.height) != size:
        drawn = np.array(Image.fromarray(drawn).resize(size, Image.Resampling.LANCZOS))
    return drawn if scene.draft is None else correct(drawn, scene.draft, sampling.colour)
