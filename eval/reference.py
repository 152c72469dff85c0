"""diffusers' own ControlNet pipelines, for comparing latents with: read from the hub's folders by diffusers alone.

diffusers counts the steps of the whole schedule and leaves out the first: n of its steps at strength k / n are our k.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import diffusers
import numpy as np
import numpy.typing as npt
import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from torch import Tensor

from ..decoder_profile import DecoderProfile, Sampling
from ..models.decoder.noise import gaussian

__all__ = ["latents", "load_pipeline", "same_noise"]

Pixels = npt.NDArray[np.uint8]


def load_pipeline(profile: DecoderProfile, folders: dict[str, Path], dtype: torch.dtype) -> Any:
    """The image-to-image pipeline of a profile with its first ControlNet.

    Args:
        folders: of the profile's repositories, by name.
    """
    base = folders[profile.base.repository]
    family = "StableDiffusionXL" if (base / "text_encoder_2").is_dir() else "StableDiffusion"
    part = profile.controls[0].part
    variant = profile.base.variant or None
    pickled = any(name.endswith(".bin") for name in part.files)
    net = diffusers.ControlNetModel.from_pretrained(
        folders[part.repository], torch_dtype=dtype, use_safetensors=not pickled, local_files_only=True
    )
    more: dict[str, Any] = {} if family == "StableDiffusionXL" else {"safety_checker": None, "feature_extractor": None}
    if profile.vae:
        folder = folders[profile.vae.repository]
        more["vae"] = diffusers.AutoencoderKL.from_pretrained(folder, torch_dtype=dtype, local_files_only=True)
    pipeline = getattr(diffusers, f"{family}ControlNetImg2ImgPipeline").from_pretrained(
        base, controlnet=net, variant=variant, torch_dtype=dtype, local_files_only=True, **more
    )
    if profile.lora:
        pipeline.load_lora_weights(folders[profile.lora.repository], weight_name=profile.lora.files[0])
        pipeline.fuse_lora()
    changes = dict(profile.scheduler)
    kind = getattr(diffusers, str(changes.pop("class", type(pipeline.scheduler).__name__)))
    pipeline.scheduler = kind.from_config(pipeline.scheduler.config, **changes)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@contextmanager
def same_noise(seed: int) -> Iterator[None]:
    """A block in which pipelines begin from our noise, and take the mean of the VAE's latents as we do."""

    def noise(shape: tuple[int, ...], dtype: torch.dtype | None = None, **_: object) -> Tensor:
        return torch.from_numpy(gaussian(seed, tuple(shape[1:])))[None].to(dtype)

    controlnet = diffusers.pipelines.controlnet
    with (
        mock.patch.object(controlnet.pipeline_controlnet_img2img, "randn_tensor", noise),
        mock.patch.object(controlnet.pipeline_controlnet_sd_xl_img2img, "randn_tensor", noise),
        mock.patch.object(DiagonalGaussianDistribution, "sample", lambda self, _=None: self.mode()),
    ):
        yield


def latents(pipeline: Any, image: Pixels, prompt: str, sampling: Sampling, scale: float, seed: int) -> Tensor:
    """Latents (1, C, rows, columns) that a pipeline draws.

    Args:
        image: (H, W, 3) uint8, which the ControlNet is shown and the noised start comes from; H and W as the networks
            need them.
        scale: of the ControlNet.
    """
    total = max(sampling.steps, round(sampling.steps / sampling.strength))
    shown = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255
    with same_noise(seed), torch.inference_mode():
        drawn: Tensor = pipeline(
            prompt=prompt,
            negative_prompt=sampling.negative or None,
            image=shown,
            control_image=shown,
            num_inference_steps=total,
            strength=(sampling.steps + 1e-3) / total if sampling.steps < total else 1.0,
            guidance_scale=sampling.guidance,
            controlnet_conditioning_scale=scale,
            generator=torch.Generator().manual_seed(seed),
            output_type="latent",
        ).images
    return drawn.float()
