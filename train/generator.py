"""The generator that `misc.train.diffusion` trains: a UNet and a ControlNet of diffusers over latents at a quarter."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import ControlNetModel, FlowMatchEulerDiscreteScheduler, UNet2DConditionModel
from torch import Tensor, nn

from ..models.decoder.int8_weights import load_int8, save_int8
from ..models.decoder.quarter_autoencoder import CHANNELS
from ..models.decoder.regional_attention import attend
from .data.conditions import Shown
from .data.scene_batches import ITEMS

__all__ = ["Generator", "draw", "load_generator", "new_generator", "save_generator"]

SHOWN = 3 + ITEMS  # channels of the draft and of its items' masks
TIMES = 1000  # of the scheduler's clock
GAIN = 2.0  # gain of the initial weights: keeps the variance of dark images through SiLU layers


def new_generator(unet: Mapping[str, Any], controlnet: Mapping[str, Any]) -> Generator:
    """A generator with random weights.

    The ControlNet is a copy of the UNet's encoder; its input is the draft at a quarter and three masks. Its outputs are
    not zero at first, because it is trained together with the UNet. Its input embedding keeps the variance, because it
    has no normalisation.

    Args:
        unet: arguments of diffusers' UNet2DConditionModel.
        controlnet: number of input channels of the ControlNet, and channels of their embedding, before and after the
            downsampling from a quarter to the latents.

    Raises:
        ValueError: the number of input channels is wrong, or the UNet's latents do not fit a quarter of the size.
    """
    net = UNet2DConditionModel(**unet)
    control = ControlNetModel.from_unet(net, **controlnet)
    if (net.config.in_channels, control.config.conditioning_channels) != (CHANNELS, SHOWN):
        raise ValueError(f"latents have {CHANNELS} channels, conditions {SHOWN}")
    for layer in (*control.controlnet_down_blocks, control.controlnet_mid_block):
        layer.reset_parameters()
    for layer in control.controlnet_cond_embedding.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, std=GAIN / math.sqrt(layer.weight[0].numel()))
    return Generator(net, control)


class Generator(nn.Module):
    """UNet and ControlNet; (noised latents (B, 12, h, w), noise share (B,), conditions) -> velocity (B, 12, h, w)."""

    def __init__(self, unet: UNet2DConditionModel, controlnet: ControlNetModel) -> None:
        super().__init__()
        self.unet, self.controlnet = unet, controlnet
        attend(unet)
        attend(controlnet)

    @property
    def levels(self) -> int:
        """Number of resolutions of the UNet."""
        return len(self.unet.config.block_out_channels)

    def forward(self, noised: Tensor, sigma: Tensor, shown: Shown) -> Tensor:
        """Predicted velocity: noise minus latents."""
        common: dict[str, Any] = {
            "encoder_hidden_states": shown.states,
            "cross_attention_kwargs": {"bias": shown.bias},
            "return_dict": False,
        }
        times = sigma * TIMES
        down, middle = self.controlnet(
            noised, times, controlnet_cond=shown.control, conditioning_scale=shown.gate, **common
        )
        velocity: Tensor = self.unet(
            noised, times, down_block_additional_residuals=down, mid_block_additional_residual=middle, **common
        )[0]
        return velocity.float()


@torch.no_grad()
def draw(generator: Generator, start: Tensor, noise: Tensor, shown: Shown, strength: float, steps: int) -> Tensor:
    """Latents (B, 12, h, w) by Euler's method.

    Args:
        generator: gives the velocity.
        start: (B, 12, h, w) scaled latents to begin from.
        noise: (B, 12, h, w) standard normal.
        shown: conditions.
        strength: share of noise at the beginning, above 0 to 1.
        steps: number of calls of the networks.
    """
    latents = (1 - strength) * start + strength * noise
    for k in range(steps):
        sigma = torch.full((len(latents),), strength * (1 - k / steps), device=latents.device)
        latents = latents - strength / steps * generator(latents, sigma, shown)
    return latents


def load_generator(folder: Path) -> Generator:
    """The generator of a folder that this trainer wrote.

    Raises:
        WeightsError: the folder holds another network.
    """
    unet = load_int8(UNet2DConditionModel, folder / "unet", torch.float32)
    return Generator(unet, load_int8(ControlNetModel, folder / "controlnet", torch.float32))


def save_generator(generator: Generator, folder: Path) -> None:
    """Write UNet, ControlNet and scheduler in diffusers' layout, 8 bits per weight."""
    save_int8(generator.unet, folder / "unet")
    save_int8(generator.controlnet, folder / "controlnet")
    FlowMatchEulerDiscreteScheduler(num_train_timesteps=TIMES).save_pretrained(folder / "scheduler")
