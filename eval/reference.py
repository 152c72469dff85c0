"""diffusers' own pipelines, as a reference for latents and times: made of networks in memory, or read by diffusers from
the hub's folders.

diffusers counts the steps of the whole schedule and leaves out the first: n of its steps at strength k / n are our k.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import diffusers
import numpy as np
import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from PIL import Image
from torch import Tensor

from ..decoder_profile import DecoderProfile, Sampling
from ..models.decoder.decoder import Parts
from ..models.decoder.noise import gaussian
from ..models.decoder.text_encoders import ClipText
from ..models.image_tensors import Pixels

__all__ = ["draw", "family", "latents", "load_pipeline", "pipeline_of", "same_noise", "settings", "text_latents"]

SMALL, LARGE = "StableDiffusion", "StableDiffusionXL"
UNCHECKED: dict[str, Any] = {"safety_checker": None, "feature_extractor": None}


def family(parts: Parts) -> str:
    """How diffusers' classes are called: StableDiffusion, or StableDiffusionXL where there are two text encoders."""
    assert isinstance(parts.text, ClipText)
    return LARGE if len(parts.text.models) > 1 else SMALL


def pipeline_of(parts: Parts, *, of_images: bool = True) -> Any:
    """A pipeline of networks that are in memory, which it shares.

    Args:
        of_images: image to image with all ControlNets, else from a text alone, without them.
    """
    name, text = family(parts), parts.text
    assert isinstance(text, ClipText)
    given: dict[str, Any] = {"vae": parts.vae, "unet": parts.unet, "scheduler": parts.scheduler}
    for k, (tokenizer, model) in enumerate(zip(text.tokenizers, text.models, strict=True)):
        suffix = f"_{k + 1}" if k else ""
        given |= {f"tokenizer{suffix}": tokenizer, f"text_encoder{suffix}": model}
    if name == SMALL:
        given |= UNCHECKED | {"requires_safety_checker": False}
    if of_images:
        nets = [control.net for control in parts.controls]
        given["controlnet"] = nets if len(nets) > 1 else nets[0]
    pipeline = getattr(diffusers, f"{name}ControlNetImg2ImgPipeline" if of_images else f"{name}Pipeline")(**given)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def load_pipeline(profile: DecoderProfile, folders: dict[str, Path], dtype: torch.dtype) -> Any:
    """The image-to-image pipeline of a profile with its first ControlNet.

    Args:
        folders: of the profile's repositories, by name.
    """
    base = folders[profile.base.repository]
    name = LARGE if (base / "text_encoder_2").is_dir() else SMALL
    part = profile.controls[0].part
    variant = profile.base.variant or None
    pickled = any(file.endswith(".bin") for file in part.files)
    net = diffusers.ControlNetModel.from_pretrained(
        folders[part.repository], torch_dtype=dtype, use_safetensors=not pickled, local_files_only=True
    )
    more: dict[str, Any] = {} if name == LARGE else dict(UNCHECKED)
    if profile.vae:
        folder = folders[profile.vae.repository]
        more["vae"] = diffusers.AutoencoderKL.from_pretrained(folder, torch_dtype=dtype, local_files_only=True)
    pipeline = getattr(diffusers, f"{name}ControlNetImg2ImgPipeline").from_pretrained(
        base, controlnet=net, variant=variant, torch_dtype=dtype, local_files_only=True, **more
    )
    if profile.lora:
        pipeline.load_lora_weights(folders[profile.lora.repository], weight_name=profile.lora.files[0])
        pipeline.fuse_lora()
    changes = dict(profile.scheduler)
    kind = getattr(diffusers, str(changes.pop("class", type(pipeline.scheduler).__name__)))
    pipeline.scheduler = kind.from_config(pipeline.scheduler.config, **changes)
    pipeline.set_progress_bar_config(disable=True)
    # torch multiplies in another order by weights that could learn, and by those of another layout. In bfloat16 that
    # rounds otherwise; so they are as ours.
    for network in pipeline.components.values():
        if isinstance(network, torch.nn.Module):
            network.requires_grad_(False)
            if dtype != torch.float32:
                network.to(memory_format=torch.channels_last)
    return pipeline


@contextmanager
def same_noise(seeds: Sequence[int]) -> Iterator[None]:
    """A block in which pipelines begin from our noise, and take the mean of the VAE's latents as we do."""

    def noise(shape: tuple[int, ...], dtype: torch.dtype | None = None, **_: object) -> Tensor:
        return torch.from_numpy(np.stack([gaussian(seed, tuple(shape[1:])) for seed in seeds])).to(dtype)

    controlnet = diffusers.pipelines.controlnet
    with (
        mock.patch.object(controlnet.pipeline_controlnet_img2img, "randn_tensor", noise),
        mock.patch.object(controlnet.pipeline_controlnet_sd_xl_img2img, "randn_tensor", noise),
        mock.patch.object(DiagonalGaussianDistribution, "sample", lambda self, _=None: self.mode()),
    ):
        yield


@contextmanager
def wide_latents(pipeline: Any, seeds: Sequence[int]) -> Iterator[None]:
    """A block in which a pipeline of bfloat16 keeps its latents in float32 between the calls of its networks, as we do.

    A pipeline rounds latents, noise and the work of the scheduler to the type of the networks. Two runs of the same
    networks then drift apart by roundings, and no bound would tell that from a fault. The start is made here, by the
    scheduler, of the mean of the VAE.
    """
    dtype, scheduler, vae = pipeline.unet.dtype, pipeline.scheduler, pipeline.vae
    if dtype == torch.float32:
        yield
        return
    add_noise, step, scale = scheduler.add_noise, scheduler.step, scheduler.scale_model_input
    means: list[Tensor] = []

    def mean_of(distribution: DiagonalGaussianDistribution, _: object = None) -> Tensor:
        means.append(distribution.mode())
        return means[-1]

    def begin(_latents: Tensor, _noise: Tensor, times: Tensor) -> Tensor:
        clean = torch.cat(means).float() * vae.config.scaling_factor
        noise = torch.from_numpy(np.stack([gaussian(seed, tuple(clean.shape[1:])) for seed in seeds]))
        noised: Tensor = add_noise(clean, noise, times)
        return noised

    @functools.wraps(step)  # pipelines look at what it accepts
    def widely(prediction: Tensor, *arguments: Any, **options: Any) -> Any:
        return step(prediction.float(), *arguments, **options)

    vae.register_to_config(force_upcast=False)  # for float16, whose range is small
    with (
        mock.patch.object(DiagonalGaussianDistribution, "sample", mean_of),
        mock.patch.object(scheduler, "add_noise", begin),
        mock.patch.object(scheduler, "step", widely),
        mock.patch.object(scheduler, "scale_model_input", lambda value, time: scale(value, time).to(dtype)),
    ):
        yield


def settings(sampling: Sampling, prompts: Sequence[str], seeds: Sequence[int]) -> dict[str, Any]:
    """What any pipeline is called with for B images of a sampling."""
    return {
        "prompt": list(prompts),
        "negative_prompt": [sampling.negative] * len(prompts) if sampling.negative else None,
        "guidance_scale": sampling.guidance,
        "num_inference_steps": sampling.steps,
        "eta": sampling.eta,
        "generator": [torch.Generator().manual_seed(seed) for seed in seeds],
    }


def image_settings(
    sampling: Sampling, images: Sequence[Pixels], prompts: Sequence[str], scales: Sequence[float], seeds: Sequence[int]
) -> dict[str, Any]:
    """What an image-to-image pipeline is called with; arguments as of `latents`."""
    total = max(sampling.steps, round(sampling.steps / sampling.strength))
    shown = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous().float() / 255
    several = len(scales) > 1
    return settings(sampling, prompts, seeds) | {
        "image": shown,
        "control_image": [shown] * len(scales) if several else shown,
        "num_inference_steps": total,
        "strength": (sampling.steps + 1e-3) / total if sampling.steps < total else 1.0,
        "controlnet_conditioning_scale": list(scales) if several else scales[0],
    }


def latents(
    pipeline: Any,
    images: Sequence[Pixels],
    prompts: Sequence[str],
    sampling: Sampling,
    scales: Sequence[float],
    seeds: Sequence[int],
) -> Tensor:
    """Latents (B, C, rows, columns) float32 that an image-to-image pipeline draws.

    Args:
        images: B of (H, W, 3) uint8, which the ControlNets are shown and the noised start comes from; H and W as the
            networks need them.
        scales: of the ControlNets.
        seeds: of the B images.
    """
    call = image_settings(sampling, images, prompts, scales, seeds)
    with same_noise(seeds), wide_latents(pipeline, seeds), torch.inference_mode():
        drawn: Tensor = pipeline(**call, output_type="latent").images
    return drawn.float()


def draw(pipeline: Any, image: Image.Image, prompt: str, sampling: Sampling, scale: float, seed: int) -> Image.Image:
    """The image that an image-to-image pipeline with one ControlNet draws of an image, given as users give it."""
    call = image_settings(sampling, [np.asarray(image)], [prompt], [scale], [seed])
    drawn: Image.Image = pipeline(**call | {"image": image, "control_image": image}).images[0]
    return drawn


def text_latents(
    pipeline: Any, prompts: Sequence[str], sampling: Sampling, seeds: Sequence[int], shape: tuple[int, int, int]
) -> Tensor:
    """Latents (B, *shape) float32 that a pipeline draws of texts alone; shape is (C, rows, columns)."""
    noise = torch.from_numpy(np.stack([gaussian(seed, shape) for seed in seeds]))
    size = {"height": shape[1] * pipeline.vae_scale_factor, "width": shape[2] * pipeline.vae_scale_factor}
    with torch.inference_mode():
        drawn: Tensor = pipeline(
            **settings(sampling, prompts, seeds), **size, latents=noise, output_type="latent"
        ).images
    return drawn.float()
