"""Without regions the decoder is diffusers' own pipeline: the same latents from the same noise, by tiny networks.

diffusers counts the steps of the whole schedule and leaves out the first: n of its steps at strength k / n are our k.
"""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import diffusers
import numpy as np
import pytest
import torch

from misc.bits.streams import Streams
from misc.bits.text.description import Description
from misc.decoder_profile import Sampling
from misc.errors import InputError
from misc.eval import reference
from misc.eval.random_parts import random_parts
from misc.models.decoder.decoder import ControlPart, Decoder, Parts, Scene
from tests.support.images import sample_picture

WIDTH, HEIGHT, FACTOR = 32, 48, 2
SCALE = 0.7  # of the ControlNet
TEXTS = ("a yard", "two cats, grey")
SEEDS = (3, 9)
SIZES = {"StableDiffusion": "tiny", "StableDiffusionXL": "tiny-xl"}
SCHEDULERS: dict[str, dict[str, Any]] = {
    "DDIMScheduler": {"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1},
    "UniPCMultistepScheduler": {"timestep_spacing": "trailing"},
    "EulerDiscreteScheduler": {"timestep_spacing": "leading", "steps_offset": 1},
    "LCMScheduler": {},
    "TCDScheduler": {},
    "HeunDiscreteScheduler": {},
    "PNDMScheduler": {"skip_prk_steps": True, "steps_offset": 1},
}
CURVE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def scheduler(name: str, **changes: Any) -> Any:
    return getattr(diffusers, name)(**(CURVE | SCHEDULERS[name] | changes))


def loud_parts(size: str, controls: int = 1) -> Parts:
    """Tiny parts whose ControlNets weigh as much as the rest, so that whatever is left out is seen."""
    parts = random_parts(size, controls=controls)
    for control in parts.controls:
        for layer in (*control.net.controlnet_down_blocks, control.net.controlnet_mid_block):
            torch.nn.init.normal_(layer.weight, std=0.2)
    scales = (SCALE, 0.3)[:controls]
    return Parts(
        parts.unet,
        parts.vae,
        parts.scheduler,
        parts.text,
        tuple(ControlPart(each.net, scale=scale) for each, scale in zip(parts.controls, scales, strict=True)),
    )


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def scene_of(k: int, pictured: bool = True) -> Scene:
    draft = np.asarray(sample_picture(WIDTH, HEIGHT, SEEDS[k])) if pictured else None
    return Scene(Streams(WIDTH, HEIGHT, SEEDS[k], Description(TEXTS[k])), draft)


class Pair:
    """A decoder and diffusers' pipelines of the same weights, for images and for texts alone."""

    def __init__(self, family: str, controls: int = 1) -> None:
        ours, theirs = (loud_parts(SIZES[family], controls) for _ in range(2))
        native = math.sqrt(WIDTH * HEIGHT)  # a text alone is drawn in the size that is asked for
        self.decoder = Decoder(ours, Sampling(1), native=native, tile=64)  # type: ignore[arg-type]
        self.of_images, self.of_texts = (
            reference.pipeline_of(theirs, of_images=of_images) for of_images in (True, False)
        )
        self.scales = [control.scale for control in theirs.controls]

    def error(self, scheduler: Any, sampling: Sampling, *, pictures: bool = True, batch: int = 1) -> float:
        """Largest difference of the latents of one or two pictures or of texts alone."""
        texts, seeds = TEXTS[:batch], SEEDS[:batch]
        scenes = [scene_of(k, pictures) for k in range(batch)]
        self.decoder.scheduler = scheduler
        ours, frame = self.decoder.latents(scenes, sampling)
        assert ours.shape == (batch, 4, frame.rows, frame.columns) == (batch, 4, HEIGHT // FACTOR, WIDTH // FACTOR)
        assert ours.std() > 0.02
        if pictures:
            self.of_images.scheduler = scheduler
            drafts = [scene.draft for scene in scenes if scene.draft is not None]
            theirs = reference.latents(self.of_images, drafts, texts, sampling, self.scales, seeds)
        else:
            self.of_texts.scheduler = scheduler
            theirs = reference.text_latents(self.of_texts, texts, sampling, seeds, (4, frame.rows, frame.columns))
        assert ours.shape == theirs.shape
        return difference(ours, theirs)


def difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """The largest, of latents whose deviation is 1 or less; of larger ones, in their deviation."""
    return float((ours - theirs).abs().max() / theirs.std().clamp(min=1))


@pytest.fixture(scope="module", params=list(SIZES))
def pair(request: pytest.FixtureRequest) -> Pair:
    return Pair(request.param)


@pytest.mark.parametrize("strength", [0.3, 0.8, 1.0])
@pytest.mark.parametrize("guidance", [1.0, 4.0])
@pytest.mark.parametrize("name", ["DDIMScheduler", "UniPCMultistepScheduler", "EulerDiscreteScheduler", "LCMScheduler"])
def test_images_are_drawn_as_by_diffusers(pair: Pair, name: str, guidance: float, strength: float) -> None:
    for steps in (1, 2, 20):
        changes = {"original_inference_steps": 100} if (name, steps) == ("LCMScheduler", 20) else {}
        assert pair.error(scheduler(name, **changes), Sampling(steps, guidance, strength, negative="dull")) < 1e-4, (
            steps
        )


@pytest.mark.parametrize("strength", [0.5, 1.0])
@pytest.mark.parametrize("steps", [1, 2, 4])
@pytest.mark.parametrize("name", ["TCDScheduler", "DDIMScheduler"])
def test_new_noise_in_a_step_is_as_much_as_the_profile_says(pair: Pair, name: str, steps: int, strength: float) -> None:
    drawn = []
    for eta in (0.0, 0.3, 1.0):
        sampling = Sampling(steps, 1.0, strength, eta=eta)
        assert pair.error(scheduler(name), sampling) < 1e-4, eta
        drawn.append(pair.decoder.latents([scene_of(0)], sampling)[0])
    apart = [difference(one, other) for one, other in itertools.pairwise(drawn)]
    assert max(apart) == 0 if (name, steps) == ("TCDScheduler", 1) else min(apart) > 0.01


@pytest.mark.parametrize("name", ["HeunDiscreteScheduler", "PNDMScheduler"])
@pytest.mark.parametrize("strength", [0.3, 0.8])
def test_schedulers_that_call_the_network_more_than_once_a_step(pair: Pair, name: str, strength: float) -> None:
    assert pair.error(scheduler(name), Sampling(2, 4.0, strength)) < 1e-4


@pytest.mark.parametrize("name", ["UniPCMultistepScheduler", "LCMScheduler", "TCDScheduler"])
def test_a_batch_has_prompts_pictures_and_noise_of_its_own(pair: Pair, name: str) -> None:
    assert pair.error(scheduler(name), Sampling(3, 4.0, 0.75, negative="dull", eta=0.5), batch=2) < 1e-4


@pytest.mark.parametrize("negative", ["", "dull"])
@pytest.mark.parametrize("name", list(SCHEDULERS)[:5])
def test_a_text_alone_is_drawn_as_by_diffusers(pair: Pair, name: str, negative: str) -> None:
    assert pair.error(scheduler(name), Sampling(2, 4.0, negative=negative, eta=0.5), pictures=False) < 1e-4


def test_without_a_negative_prompt(pair: Pair) -> None:
    """SDXL's is zeros then, Stable Diffusion 1.5's the empty text."""
    assert pair.error(scheduler("DDIMScheduler"), Sampling(2, 4.0, 0.8)) < 1e-4


@pytest.mark.parametrize("family", SIZES)
def test_two_controlnets_add_up(family: str) -> None:
    assert Pair(family, controls=2).error(scheduler("DDIMScheduler"), Sampling(2, 4.0, 0.8)) < 1e-4


@pytest.mark.parametrize(("name", "steps", "strength"), [("DDIMScheduler", 1000, 0.3), ("LCMScheduler", 20, 0.3)])
def test_steps_that_a_scheduler_does_not_have_are_said(name: str, steps: int, strength: float) -> None:
    with pytest.raises(InputError, match=f"{name} has no {steps} steps at strength 0.3"):
        Pair("StableDiffusion").error(scheduler(name), Sampling(steps, 1.0, strength))
