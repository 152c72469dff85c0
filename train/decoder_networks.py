"""What the decoder's trainer trains: a UNet and a ControlNet of diffusers, and the decoder of an AutoencoderKL."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
import typer
from diffusers import AutoencoderKL, ControlNetModel, FlowMatchEulerDiscreteScheduler, UNet2DConditionModel
from torch import Tensor, nn

from ..models.decoder.int8_weights import load_int8, save_int8
from ..models.decoder.regional_attention import attend
from .autoencoder import LATENT_CHANNELS
from .data.conditions import Shown
from .data.scene_batches import ITEMS

__all__ = ["Networks", "new_controlnet", "new_unet", "write_decoder"]

TRAIN_STEPS = 1000  # of the scheduler's clock
GAIN = 2.0  # of weights that keep the variance of dark pictures through eight layers of SiLU


def new_unet() -> UNet2DConditionModel:
    """22.8 million parameters, three resolutions, text of 384 channels; randomly initialised."""
    return UNet2DConditionModel(
        sample_size=24,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=(128, 192, 256),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=384,
        attention_head_dim=(4, 6, 8),
        norm_num_groups=32,
    )


def new_controlnet(unet: UNet2DConditionModel) -> ControlNetModel:
    """10.5 million parameters: the UNet's encoder again, which is shown the pixel stream's picture and three masks.

    Its outputs are not zero at first, as it learns along with the UNet, and what it is shown keeps its variance on the
    way in: there is no normalisation, and with the usual weights nearly nothing of it is left after eight layers.
    """
    net = ControlNetModel.from_unet(unet, conditioning_channels=3 + ITEMS)
    for layer in (*net.controlnet_down_blocks, net.controlnet_mid_block):
        layer.reset_parameters()
    for layer in net.controlnet_cond_embedding.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, std=GAIN / math.sqrt(layer.weight[0].numel()))
    return net


class Networks(nn.Module):
    """Everything that learns."""

    def __init__(self, unet: UNet2DConditionModel, controlnet: ControlNetModel, vae: AutoencoderKL) -> None:
        super().__init__()
        self.unet, self.controlnet, self.vae = unet, controlnet, vae
        attend(unet)
        attend(controlnet)
        vae.encoder.requires_grad_(False)
        vae.quant_conv.requires_grad_(False)

    @classmethod
    def of(cls, vae: Path | None, start: Path | None) -> Networks:
        """New networks on an autoencoder in diffusers' layout, or those of a folder that this program wrote."""
        if start:
            kinds = {"unet": UNet2DConditionModel, "controlnet": ControlNetModel, "vae": AutoencoderKL}
            return cls(**{name: load_int8(kind, start / name, torch.float32) for name, kind in kinds.items()})
        if vae is None:
            raise typer.BadParameter("give an autoencoder or a decoder to start from", param_hint="--vae")
        unet = new_unet()
        return cls(unet, new_controlnet(unet), AutoencoderKL.from_pretrained(vae, torch_dtype=torch.float32))

    @torch.no_grad()
    def latents(self, pictures: Tensor) -> Tensor:
        """(B, C, h, w) float of pictures (B, 3, 8 h, 8 w) in [0, 1]."""
        found: Tensor = self.vae.encode(pictures * 2 - 1).latent_dist.mode()
        return found.float() * float(self.vae.config.scaling_factor)

    def picture(self, latents: Tensor) -> Tensor:
        """(B, 3, 8 h, 8 w), about [0, 1]."""
        drawn: Tensor = self.vae.decode(latents / float(self.vae.config.scaling_factor)).sample
        return drawn / 2 + 0.5

    def velocity(self, noised: Tensor, sigma: Tensor, shown: Shown) -> Tensor:
        """Noise less latents, as far as the network can tell.

        Args:
            noised: (B, C, h, w). sigma: (B,) share of the noise in them.
        """
        common: dict[str, Any] = {
            "encoder_hidden_states": shown.states,
            "cross_attention_kwargs": {"bias": shown.bias},
            "return_dict": False,
        }
        times = sigma * TRAIN_STEPS
        down, middle = self.controlnet(
            noised, times, controlnet_cond=shown.control, conditioning_scale=shown.gate, **common
        )
        prediction: Tensor = self.unet(
            noised, times, down_block_additional_residuals=down, mid_block_additional_residual=middle, **common
        )[0]
        return prediction.float()


def write_decoder(networks: Networks, folder: Path) -> None:
    """UNet, ControlNet, VAE and scheduler in diffusers' layout, 8 bits a weight."""
    save_int8(networks.unet, folder / "unet")
    save_int8(networks.controlnet, folder / "controlnet")
    save_int8(networks.vae, folder / "vae")
    FlowMatchEulerDiscreteScheduler(num_train_timesteps=TRAIN_STEPS).save_pretrained(folder / "scheduler")
