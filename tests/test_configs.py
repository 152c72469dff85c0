"""Shapes of networks: each is read by its network, fits the committed weights, and is refused when it is wrong."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from misc.bits.arithmetic.transformer import Config
from misc.configs import build, config_names, read_config
from misc.errors import InputError
from misc.eval.random_parts import random_parts
from misc.models.clip.embedded import ClipHeads
from misc.models.decoder.cascade_weights import checkpoint
from misc.models.decoder.upsampler import Upsampler
from misc.models.describer.network import DescriberNetwork
from misc.models.hyperprior.hyperprior import Hyperprior
from misc.models.towers.vit import VisionTransformer
from misc.train.generator import new_generator
from misc.weights.safe import load

KINDS: dict[str, Callable[..., Any]] = {
    "clip-heads": ClipHeads,
    "describer": DescriberNetwork,
    "generator": new_generator,
    "hyperprior": Hyperprior,
    "lm-small": Config,
    "upsampler": Upsampler,
    "vit-s14": VisionTransformer,
    "words": Config,
}
DIFFUSION = ["sd15-tile", "sdxl-tile", "tiny", "tiny-xl"]


def test_every_shape_has_a_network() -> None:
    assert config_names() == sorted([*KINDS, *DIFFUSION])


@pytest.mark.parametrize("name", KINDS)
def test_a_shape_is_read_by_its_network(name: str) -> None:
    with torch.device("meta" if name != "hyperprior" else "cpu"):  # its tables of scales are made from numbers
        build(KINDS[name], name)


@pytest.mark.parametrize("name", ["tiny", "tiny-xl"])
def test_parts_of_a_pipeline_have_their_shape(name: str) -> None:
    parts, shape = random_parts(name), read_config(name)
    assert parts.unet.config.cross_attention_dim == shape["unet"]["cross_attention_dim"]
    assert list(parts.vae.config.block_out_channels) == shape["vae"]["block_out_channels"]
    assert len(parts.text.models) == len(shape["text"])  # type: ignore[attr-defined]


def test_the_generator_has_three_resolutions() -> None:
    with torch.device("meta"):
        generator = build(new_generator, "generator")
    assert generator.levels == 3
    assert round(sum(each.numel() for each in generator.unet.parameters()) / 1e6, 1) == 22.8


@pytest.mark.parametrize("name", ["hyperprior", "upsampler"])
def test_committed_weights_have_the_committed_shape(name: str) -> None:
    folder = {"upsampler": "decoder"}.get(name, name)
    weights = load(checkpoint(f"embedded/{folder}/{name}.safetensors"), prefix="nothing")
    assert json.loads(weights.metadata["config"]) == read_config(name)


@pytest.mark.parametrize(("folder", "name"), [("language_model", "lm-small"), ("words", "words")])
def test_the_committed_language_models_have_the_committed_shapes(folder: str, name: str) -> None:
    weights = load(checkpoint(f"embedded/{folder}/{folder}.safetensors"), prefix="facts")
    (facts,) = weights.tensors.values()
    assert json.loads(facts.tobytes())["config"] == read_config(name)


def test_a_shape_may_lie_in_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "small.json"
    path.write_text('{"features": 8, "growth": 4, "blocks": 1}')
    assert build(Upsampler, str(path)).config == {"features": 8, "growth": 4, "blocks": 1}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"features": 8', "is not JSON"),
        ("[8, 4, 1]", "is not a table"),
        ('{"features": 8, "growth": 4}', "another network.*blocks"),
        ('{"features": 8, "growth": 4, "blocks": 1, "heads": 2}', "another network.*heads"),
        ('{"features": 8, "growth": 4, "blocks": "one"}', "another network"),
    ],
)
def test_a_wrong_shape_is_one_sentence(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "wrong.json"
    path.write_text(text)
    with pytest.raises(InputError, match=says):
        build(Upsampler, str(path))


def test_a_shape_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no config 'hyperprio'; there is .*hyperprior"):
        read_config("hyperprio")
    with pytest.raises(InputError, match="cannot be read"):
        read_config(str(tmp_path / "none.json"))


def test_a_generator_for_other_latents_is_refused() -> None:
    shape = read_config("generator")
    shape["unet"]["in_channels"] = 4
    with pytest.raises(InputError, match="latents have 12 channels, conditions 6"):
        build(new_generator, shape)


def test_reading_a_shape_loads_no_torch() -> None:
    script = "import sys, misc.configs as c; c.read_config('describer'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)
