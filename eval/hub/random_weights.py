"""A profile's decoder with random weights, in the files and the layout of its repositories on the hub.

    base/  model_index.json scheduler/ tokenizer/ text_encoder/ unet/ vae/ [tokenizer_2/ text_encoder_2/]
    vae/ controlnet/  config.json and a file of weights, a pickle where the real one is      lora/  one file

Networks are created and written one after another in bfloat16, so that only one is in memory at a time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers import EulerDiscreteScheduler, PNDMScheduler
from safetensors.torch import save_file
from torch import nn

from ...decoder_profile import DecoderProfile, HubPart
from ...models.decoder.decoder import Parts
from ..random_parts import random_parts
from .repository import Repository

__all__ = ["commit_of", "make_repositories", "repositories_of"]

CURVE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
RANK = 4  # of the LoRA
ATTENTION = (".to_q", ".to_k", ".to_v", ".to_out.0")  # layers that the LoRA changes


def make_repositories(profile: DecoderProfile, folder: Path, size: str) -> dict[str, Repository]:
    """Write the required parts of a decoder, with one ControlNet; optional ControlNets are left out.

    Args:
        folder: where the repositories go.
        size: of `random_parts`.

    Returns:
        Repositories by name, at the commits that the profile names.
    """
    with default_type(torch.bfloat16):
        parts = random_parts(size)
    for part in parts_of(profile):
        (folder / part.repository).mkdir(parents=True)
    write_base(parts, folder / profile.base.repository, profile.base)
    if profile.vae:
        write_network(parts.vae, folder / profile.vae.repository, profile.vae)
    if profile.lora:
        write_lora(parts.unet, folder / profile.lora.repository / profile.lora.files[0])
    for control, made in zip(profile.controls[:1], parts.controls, strict=True):
        write_network(made.net, folder / control.part.repository, control.part)
    return repositories_of(profile, folder)


def parts_of(profile: DecoderProfile) -> list[HubPart]:
    """The required parts of a decoder, with one ControlNet."""
    parts = [part for part in (profile.base, profile.vae, profile.lora) if part]
    return [*parts, *(control.part for control in profile.controls[:1])]


def repositories_of(profile: DecoderProfile, folder: Path) -> dict[str, Repository]:
    """Repositories by name that `make_repositories` wrote, at the commits that the profile names."""
    return {part.repository: Repository(folder / part.repository, commit_of(part)) for part in parts_of(profile)}


def commit_of(part: HubPart) -> str:
    """The commit that a profile names, or another where it names none."""
    return part.revision or hashlib.sha1(part.repository.encode()).hexdigest()


@contextmanager
def default_type(kind: torch.dtype) -> Iterator[None]:
    """A block in which networks are made in a type."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(kind)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def write_base(parts: Parts, folder: Path, part: HubPart) -> None:
    """UNet, VAE, text encoders, tokenizers, scheduler and index."""
    text: Any = parts.text
    large = len(text.models) > 1
    networks = {"unet": parts.unet, "vae": parts.vae}
    networks |= {f"text_encoder{suffix(k)}": model for k, model in enumerate(text.models)}
    for name, network in networks.items():
        nn.Module.to(network, torch.float16).save_pretrained(
            folder / name, variant=part.variant or None, max_shard_size="50GB"
        )
    for k, tokenizer in enumerate(text.tokenizers):
        write_tokenizer(tokenizer, folder / f"tokenizer{suffix(k)}")
    scheduler = (
        EulerDiscreteScheduler(**CURVE, timestep_spacing="leading", steps_offset=1)
        if large
        else PNDMScheduler(**CURVE, set_alpha_to_one=False, skip_prk_steps=True, steps_offset=1)
    )
    scheduler.save_pretrained(folder / "scheduler")
    index: dict[str, Any] = {
        "_class_name": "StableDiffusionXLPipeline" if large else "StableDiffusionPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "scheduler": ["diffusers", type(scheduler).__name__],
    }
    for k, model in enumerate(text.models):
        index |= {
            f"text_encoder{suffix(k)}": ["transformers", type(model).__name__],
            f"tokenizer{suffix(k)}": ["transformers", "CLIPTokenizer"],
        }
    (folder / "model_index.json").write_text(json.dumps(index, indent=2))


def suffix(number: int) -> str:
    """The suffix of the second encoder's folders."""
    return f"_{number + 1}" if number else ""


def write_tokenizer(tokenizer: Any, folder: Path) -> None:
    """The four files of CLIP's tokenizer as OpenAI's and Stability's repositories have them."""
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps(tokenizer.get_vocab()))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    start, end = "<|startoftext|>", "<|endoftext|>"
    marks = {"bos_token": start, "eos_token": end, "unk_token": end, "pad_token": end}
    (folder / "special_tokens_map.json").write_text(json.dumps(marks))
    facts = {"model_max_length": tokenizer.model_max_length, "do_lower_case": True, "tokenizer_class": "CLIPTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(marks | facts))


def write_network(network: Any, folder: Path, part: HubPart) -> None:
    """A network's configuration and weights, by the names that the profile wants."""
    network.save_config(folder)
    state = {name: value.to(torch.float16).contiguous() for name, value in network.state_dict().items()}
    for name in part.files:
        if name.endswith(".safetensors"):
            save_file(state, folder / name, {"format": "pt"})
        elif name.endswith(".bin"):
            torch.save(state, folder / name)


def write_lora(unet: nn.Module, path: Path) -> None:
    """A LoRA of the UNet's attention in kohya's naming, as LCM-LoRA and Hyper-SD have it."""
    state: dict[str, torch.Tensor] = {}
    for name, layer in unet.named_modules():
        if name.endswith(ATTENTION) and isinstance(layer, nn.Linear):
            key = f"lora_unet_{name.replace('.', '_')}"
            down, up = torch.randn(RANK, layer.in_features), torch.randn(layer.out_features, RANK)
            state |= {
                f"{key}.lora_down.weight": (down / layer.in_features**0.5).to(torch.float16),
                f"{key}.lora_up.weight": (0.1 * up).to(torch.float16),
                f"{key}.alpha": torch.tensor(float(RANK)),
            }
    save_file(state, path)
