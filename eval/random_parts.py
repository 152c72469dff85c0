"""Decoder parts with random weights, of full size for timing and tiny for tests; `save` writes them in hub layout.

unet/ vae/ scheduler/ controlnet/ controlnet_1/ text_encoder/ tokenizer/ [text_encoder_2/ tokenizer_2/] model_index.json
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel, UniPCMultistepScheduler
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from ..models.decoder.decoder import ControlPart, Parts
from ..models.decoder.text_encoders import ClipText

__all__ = ["random_parts", "save"]

SD15 = {
    "unet": {"cross_attention_dim": 768, "attention_head_dim": 8},
    "vae": {"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2, "latent_channels": 4},
    "text": [{"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}],
}
SDXL = {
    "unet": {
        "block_out_channels": (320, 640, 1280),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": (1, 2, 10),
        "attention_head_dim": (5, 10, 20),
        "cross_attention_dim": 2048,
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
    "vae": SD15["vae"] | {"scaling_factor": 0.13025},  # type: ignore[operator]
    "text": [
        *SD15["text"],
        {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 20},
    ],
}
TINY = {
    "unet": {
        "block_out_channels": (16, 32),
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "layers_per_block": 1,
        "norm_num_groups": 8,
        "cross_attention_dim": 16,
        "attention_head_dim": 2,
    },
    "vae": {"block_out_channels": (8, 16), "layers_per_block": 1, "latent_channels": 4, "norm_num_groups": 4},
    "text": [{"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}],
}
TINY_XL = TINY | {
    "unet": TINY["unet"]  # type: ignore[operator]
    | {
        "cross_attention_dim": 32,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 8 * 6 + 16,
    },
    "text": TINY["text"] * 2,  # type: ignore[operator]
}
SIZES: dict[str, dict[str, Any]] = {"sd15-tile": SD15, "sdxl-tile": SDXL, "tiny": TINY, "tiny-xl": TINY_XL}
MAX_TOKENS = 77


def random_parts(size: str, *, controls: int = 1, channels: int = 3, seed: int = 0, device: str = "cpu") -> Parts:
    """Parts with random weights.

    Args:
        size: `sd15-tile`, `sdxl-tile`, `tiny` or `tiny-xl`. controls, channels: number of ControlNets, and of the
            channels that each is shown.
    """
    config = SIZES[size]
    torch.manual_seed(seed)
    with torch.device(device):
        unet = UNet2DConditionModel(**config["unet"])
        nets = [control_of(unet, size, channels) for _ in range(controls)]
        blocks = len(config["vae"]["block_out_channels"])
        types = {"down_block_types": ("DownEncoderBlock2D",) * blocks, "up_block_types": ("UpDecoderBlock2D",) * blocks}
        vae = AutoencoderKL(**config["vae"], **types)
        text = text_of(config["text"], size.startswith("tiny"))
    for net in (unet, vae, *nets, *text.models):
        net.eval().requires_grad_(False)
    scheduler = UniPCMultistepScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="trailing"
    )
    return Parts(unet, vae, scheduler, text, tuple(ControlPart(net) for net in nets))


def control_of(unet: UNet2DConditionModel, size: str, channels: int) -> ControlNetModel:
    """A ControlNet of a UNet's encoder whose last layers are not zero, or it would do nothing."""
    embedding = {"conditioning_embedding_out_channels": (8, 16)} if size.startswith("tiny") else {}
    net = ControlNetModel.from_unet(unet, conditioning_channels=channels, **embedding)
    for layer in (*net.controlnet_down_blocks, net.controlnet_mid_block, net.controlnet_cond_embedding.conv_out):
        torch.nn.init.normal_(layer.weight, std=0.02)
    return net


def text_of(configs: list[dict[str, Any]], tiny: bool) -> ClipText:
    """CLIP text encoders with a vocabulary of letters."""
    marks = ["<|startoftext|>", "<|endoftext|>"]
    letters = [chr(code) + end for code in range(33, 127) for end in ("", "</w>")]
    size = len(letters) + 2 if tiny else 49408
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
