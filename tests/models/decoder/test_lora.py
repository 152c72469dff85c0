"""A LoRA is added to the UNet's weights, as diffusers' pipelines load it."""

import dataclasses
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from misc.bits.streams import Streams
from misc.bits.text.description import Description
from misc.decoder_profile import Control, DecoderProfile, HubPart
from misc.errors import WeightsError
from misc.eval.random_parts import random_parts, save
from misc.models.decoder.decoder import Scene
from misc.models.decoder.lora import add_lora
from misc.models.decoder.weights import load_decoder
from misc.profiles import load_profile
from tests.support.images import sample_picture

LAYERS = {
    "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q": (16, 16),
    "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k": (16, 16),
    "down_blocks.1.resnets.0.conv1": (32, 16),
}
RANK, ALPHA = 2, 1.0


def lora_file(path: Path, layers: dict[str, tuple[int, int]] = LAYERS, prefix: str = "lora_unet_") -> dict[str, Any]:
    """A file in kohya's naming, as LCM-LoRA has it; returns what is to be added to each layer's weights."""
    torch.manual_seed(1)
    state, added = {}, {}
    for layer, (outputs, inputs) in layers.items():
        kernel = (3, 3) if "conv" in layer else ()
        down = torch.randn(RANK, inputs, *kernel)
        up = torch.randn(outputs, RANK, *([1, 1] if kernel else []))
        name = prefix + layer.replace(".", "_")
        state |= {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up, f"{name}.alpha": torch.tensor(ALPHA)}
        added[layer] = ALPHA / RANK * torch.einsum("or,ri...->oi...", up.flatten(1), down)
    save_file(state, path)
    return added


def test_the_weights_change_by_up_times_down(tmp_path: Path) -> None:
    added = lora_file(tmp_path / "lora.safetensors")
    plain, unet = random_parts("tiny").unet, random_parts("tiny").unet
    add_lora(unet, tmp_path / "lora.safetensors")
    assert list(unet.state_dict()) == list(plain.state_dict())
    for name, value in unet.state_dict().items():
        change = value - plain.state_dict()[name]
        expected = added.get(name.removesuffix(".weight"), torch.zeros(())) if name.endswith("weight") else 0 * change
        torch.testing.assert_close(change, expected.expand_as(change), atol=1e-5, rtol=1e-4)


def test_diffusers_own_pipeline_draws_the_same(tmp_path: Path) -> None:
    lora_file(tmp_path / "lora.safetensors")
    ours, theirs = random_parts("tiny"), random_parts("tiny")
    add_lora(ours.unet, tmp_path / "lora.safetensors")
    text: Any = theirs.text
    pipeline = diffusers.StableDiffusionPipeline(
        theirs.vae, text.models[0], text.tokenizers[0], theirs.unet, theirs.scheduler, None, None, None, False
    )
    pipeline.load_lora_weights(tmp_path, weight_name="lora.safetensors")
    latents, states = torch.randn(1, 4, 8, 8), torch.randn(1, 9, 16)
    with torch.no_grad():
        expected = pipeline.unet(latents, 500, states).sample
        torch.testing.assert_close(ours.unet(latents, 500, states).sample, expected, atol=1e-4, rtol=1e-4)
        assert (expected - random_parts("tiny").unet(latents, 500, states).sample).abs().max() > 1e-2


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lora.safetensors"
    unet = random_parts("tiny").unet
    with pytest.raises(WeightsError, match="missing"):
        add_lora(unet, path)
    path.write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="damaged"):
        add_lora(unet, path)
    lora_file(path, prefix="lora_te_")
    with pytest.raises(WeightsError, match="other networks"):
        add_lora(unet, path)
    lora_file(path, LAYERS | {"down_blocks.0.attentions.7.transformer_blocks.0.attn1.to_q": (16, 16)})
    with pytest.raises(WeightsError, match="3 of its 4 layers fit"):
        add_lora(random_parts("tiny").unet, path)


@pytest.mark.parametrize("name", ["sd15-lcm", "sd15-hyper"])
def test_a_profile_of_few_steps_is_drawn(name: str, tmp_path: Path) -> None:
    save(random_parts("tiny"), tmp_path)
    lora_file(tmp_path / "lora.safetensors")
    known = load_profile(name)
    assert known.decoder is not None
    base = HubPart(str(tmp_path), "none")
    tiny: dict[str, Any] = {
        "base": base,
        "controls": (Control(dataclasses.replace(base, subfolder="controlnet")),),
        "condition": "draft",
        "native": 32,
        "tile": 64,
    }
    drawn = {}
    for lora in (None, dataclasses.replace(base, files=("lora.safetensors",))):
        table: DecoderProfile = dataclasses.replace(known.decoder, lora=lora, **tiny)
        decoder = load_decoder(dataclasses.replace(known, decoder=table))
        told: list[tuple[int, int]] = []
        scene = Scene(Streams(32, 24, 5, Description("a yard")), np.asarray(sample_picture(32, 24)))
        drawn[lora] = decoder.draw(scene, progress=lambda *step: told.append(step))  # noqa: B023
        assert len(told) == known.decoder.sampling.steps == {"sd15-lcm": 4, "sd15-hyper": 1}[name]
        assert type(decoder.scheduler).__name__ == {"sd15-lcm": "LCMScheduler", "sd15-hyper": "TCDScheduler"}[name]
    first, second = drawn.values()
    assert (first != second).any()


@pytest.mark.parametrize("name", ["sd15-lcm", "sd15-hyper"])
def test_they_are_sd15_tile_with_a_lora(name: str) -> None:
    profile, tile = load_profile(name), load_profile("sd15-tile")
    assert profile.decoder is not None
    assert tile.decoder is not None
    assert (profile.decoder.base, profile.decoder.controls) == (tile.decoder.base, tile.decoder.controls)
    assert (profile.hub, profile.hyperprior, profile.cascade) == (tile.hub, tile.hyperprior, tile.cascade)
    lora = profile.decoder.lora
    assert lora is not None
    assert (lora, False) in profile.hub_parts()
    assert dict(lora.sha256).keys() == set(lora.files)
    assert profile.decoder.sampling.guidance == 1
