"""Decoder parts with random weights, at full size for timing and tiny for tests; `save` writes them in hub layout.

unet/ vae/ scheduler/ controlnet/ controlnet_1/ text_encoder/ tokenizer/ [text_encoder_2/ tokenizer_2/] model_index.json
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel, UniPCMultistepScheduler
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from ..configs import read_config
from ..decoder_profile import DecoderProfile
from ..models.decoder.decoder import ControlPart, Parts
from ..models.decoder.text_encoders import ClipText

__all__ = ["family_of", "random_parts", "save", "text_of"]

MAX_TOKENS = 77


def family_of(profile: DecoderProfile) -> str:
    """The name of the full size in which a profile's networks are."""
    return "sdxl-tile" if "xl" in profile.base.repository.lower() else "sd15-tile"


def random_parts(size: str, *, controls: int = 1, channels: int = 3, seed: int = 0, device: str = "cpu") -> Parts:
    """Parts with random weights.

    Args:
        size: `sd15-tile`, `sdxl-tile`, `tiny` or `tiny-xl`, whose shapes are in models/configs.
        controls: number of ControlNets.
        channels: number of channels that each of them is shown.
        seed: of the weights.
        device: on which they are made.
    """
    config = read_config(size)
    torch.manual_seed(seed)
    with torch.device(device):
        unet = UNet2DConditionModel(**config["unet"])
        nets = [control_of(unet, config["controlnet"], channels) for _ in range(controls)]
        blocks = len(config["vae"]["block_out_channels"])
        types = {"down_block_types": ("DownEncoderBlock2D",) * blocks, "up_block_types": ("UpDecoderBlock2D",) * blocks}
        vae = AutoencoderKL(**config["vae"], **types)
        text = text_of(config["text"], config["vocabulary"])
    for net in (unet, vae, *nets, *text.models):
        net.eval().requires_grad_(False)
    scheduler = UniPCMultistepScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="trailing"
    )
    return Parts(unet, vae, scheduler, text, tuple(ControlPart(net) for net in nets))


def control_of(unet: UNet2DConditionModel, config: dict[str, Any], channels: int) -> ControlNetModel:
    """A ControlNet of a UNet's encoder; its last layers are not zero, because it would have no effect otherwise."""
    net = ControlNetModel.from_unet(unet, conditioning_channels=channels, **config)
    for layer in (*net.controlnet_down_blocks, net.controlnet_mid_block, net.controlnet_cond_embedding.conv_out):
        torch.nn.init.normal_(layer.weight, std=0.02)
    return net


def text_of(configs: list[dict[str, Any]], size: int) -> ClipText:
    """CLIP text encoders with a vocabulary of letters, filled up to a size."""
    marks = ["<|startoftext|>", "<|endoftext|>"]
    letters = [chr(code) + end for code in range(33, 127) for end in ("", "</w>")]
    words = letters + [f"unused{k}" for k in range(size - len(letters) - 2)] + marks
    tokenizers, models = [], []
    for k, each in enumerate(configs):
        config = CLIPTextConfig(
            **each,
            vocab_size=size,
            max_position_embeddings=MAX_TOKENS,
            projection_dim=each["hidden_size"],
            bos_token_id=size - 2,
            eos_token_id=size - 1,
            pad_token_id=size - 1,
        )
        tokenizers.append(
            CLIPTokenizer(vocab={word: n for n, word in enumerate(words)}, merges=[], model_max_length=MAX_TOKENS)
        )
        models.append((CLIPTextModelWithProjection if k else CLIPTextModel)(config))
    return ClipText(tokenizers, models)


def save(parts: Parts, folder: Path) -> None:
    """Write parts with CLIP encoders as the hub has them."""
    assert isinstance(parts.text, ClipText)
    parts.unet.save_pretrained(folder / "unet")
    parts.vae.save_pretrained(folder / "vae")
    parts.scheduler.save_pretrained(folder / "scheduler")
    for k, control in enumerate(parts.controls):
        control.net.save_pretrained(folder / (f"controlnet_{k}" if k else "controlnet"))
    for k, (tokenizer, model) in enumerate(zip(parts.text.tokenizers, parts.text.models, strict=True)):
        tokenizer.save_pretrained(folder / (f"tokenizer_{k + 1}" if k else "tokenizer"))
        model.save_pretrained(folder / (f"text_encoder_{k + 1}" if k else "text_encoder"))
    index = {path.name: [] for path in sorted(folder.iterdir()) if path.is_dir()}
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionControlNetPipeline"} | index))
