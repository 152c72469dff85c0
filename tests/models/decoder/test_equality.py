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
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

from misc.bits.streams import Streams
from misc.bits.text.description import Description
from misc.decoder_profile import Sampling
from misc.errors import InputError
from misc.eval.random_parts import random_parts
from misc.models.decoder.decoder import ControlPart, Decoder, Parts, Scene
from misc.models.decoder.noise import gaussian
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
    "HeunDiscreteScheduler": {},
    "PNDMScheduler": {"skip_prk_steps": True, "steps_offset": 1},
}
CURVE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def scheduler(name: str) -> Any:
    return getattr(diffusers, name)(**CURVE, **SCHEDULERS[name])


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


@pytest.fixture(autouse=True)
def the_same_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pipelines begin from Philox's noise, and take the mean of the VAE's latents as we do."""

    def noise(shape: tuple[int, ...], **_: object) -> torch.Tensor:
        return torch.from_numpy(np.stack([gaussian(seed, tuple(shape[1:])) for seed in SEEDS[: shape[0]]]))

    controlnet = diffusers.pipelines.controlnet
    for module in (controlnet.pipeline_controlnet_img2img, controlnet.pipeline_controlnet_sd_xl_img2img):
        monkeypatch.setattr(module, "randn_tensor", noise)
    monkeypatch.setattr(DiagonalGaussianDistribution, "sample", lambda self, _=None: self.mode())


class Pair:
    """A decoder and diffusers' pipelines of the same weights, for images and for texts alone."""

    def __init__(self, family: str, controls: int = 1) -> None:
        ours, theirs = (loud_parts(SIZES[family], controls) for _ in range(2))
        native = math.sqrt(WIDTH * HEIGHT)  # a text alone is drawn in the size that is asked for
        self.decoder = Decoder(ours, Sampling(1), native=native, tile=64)  # type: ignore[arg-type]
        text: Any = theirs.text
        parts = {"vae": theirs.vae, "unet": theirs.unet, "scheduler": theirs.scheduler}
        for k, (tokenizer, model) in enumerate(zip(text.tokenizers, text.models, strict=True)):
            suffix = f"_{k + 1}" if k else ""
            parts |= {f"tokenizer{suffix}": tokenizer, f"text_encoder{suffix}": model}
        if family == "StableDiffusion":
            parts |= {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
        nets = [control.net for control in theirs.controls]
        image_kind = getattr(diffusers, f"{family}ControlNetImg2ImgPipeline")
        self.of_images = image_kind(controlnet=nets if controls > 1 else nets[0], **parts)
        self.of_texts = getattr(diffusers, f"{family}Pipeline")(**parts)
        self.controls = controls
        for each in (self.of_images, self.of_texts):
            each.set_progress_bar_config(disable=True)

    def error(self, name: str, sampling: Sampling, *, pictures: bool = True, batch: int = 1) -> float:
        """Largest difference of the latents of one or two pictures or of texts alone."""
        texts, seeds = TEXTS[:batch], SEEDS[:batch]
        drafts = [np.asarray(sample_picture(WIDTH, HEIGHT, seed)) for seed in seeds]
        scenes = [
            Scene(Streams(WIDTH, HEIGHT, seed, Description(text)), draft if pictures else None)
            for seed, text, draft in zip(seeds, texts, drafts, strict=True)
        ]
        self.decoder.scheduler = scheduler(name)
        ours, frame = self.decoder.latents(scenes, sampling)
        total = max(sampling.steps, round(sampling.steps / sampling.strength)) if pictures else sampling.steps
        call: dict[str, Any] = {
            "prompt": list(texts),
            "negative_prompt": [sampling.negative] * batch if sampling.negative else None,
            "guidance_scale": sampling.guidance,
            "num_inference_steps": total,
            "generator": [torch.Generator().manual_seed(seed) for seed in seeds],
            "output_type": "latent",
        }
        if not pictures:
            self.of_texts.scheduler = scheduler(name)
            shape = (4, frame.rows, frame.columns)
            noise = torch.from_numpy(np.stack([gaussian(seed, shape) for seed in seeds]))
            size = {"height": frame.rows * FACTOR, "width": frame.columns * FACTOR}
            return difference(ours, self.of_texts(**call, **size, latents=noise).images)
        self.of_images.scheduler = scheduler(name)
        images = torch.from_numpy(np.stack(drafts)).permute(0, 3, 1, 2).float() / 255
        scales = [SCALE, 0.3]
        several = self.controls > 1
        theirs = self.of_images(
            **call,
            image=images,
            control_image=[images] * self.controls if several else images,
            controlnet_conditioning_scale=scales if several else SCALE,
            strength=(sampling.steps + 1e-3) / total if sampling.steps < total else 1.0,
        ).images
        assert ours.shape == theirs.shape == (batch, 4, HEIGHT // FACTOR, WIDTH // FACTOR)
        assert ours.std() > 0.02
        return difference(ours, theirs)


def difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """The largest, of latents whose deviation is 1 or less; of larger ones, in their deviation."""
    return float((ours - theirs).abs().max() / theirs.std().clamp(min=1))


@pytest.fixture(scope="module", params=list(SIZES))
def pair(request: pytest.FixtureRequest) -> Pair:
    return Pair(request.param)


@pytest.mark.parametrize("guidance", [1.0, 4.0])
@pytest.mark.parametrize("name", list(SCHEDULERS)[:4])
def test_images_are_drawn_as_by_diffusers(pair: Pair, name: str, guidance: float) -> None:
    for steps, strength in itertools.product((1, 2), (0.3, 0.8, 1.0)):
        sampling = Sampling(steps, guidance, strength, negative="dull")
        assert pair.error(name, sampling) < 1e-4, (steps, strength)


@pytest.mark.parametrize("name", list(SCHEDULERS)[:3])
def test_twenty_steps(pair: Pair, name: str) -> None:
    assert pair.error(name, Sampling(20, 4.0, 0.8, negative="dull")) < 1e-4


@pytest.mark.parametrize("name", ["HeunDiscreteScheduler", "PNDMScheduler"])
@pytest.mark.parametrize("strength", [0.3, 0.8])
def test_schedulers_that_call_the_network_more_than_once_a_step(pair: Pair, name: str, strength: float) -> None:
    assert pair.error(name, Sampling(2, 4.0, strength)) < 1e-4


@pytest.mark.parametrize("name", ["UniPCMultistepScheduler", "LCMScheduler"])
def test_a_batch_has_prompts_pictures_and_noise_of_its_own(pair: Pair, name: str) -> None:
    assert pair.error(name, Sampling(3, 4.0, 0.75, negative="dull"), batch=2) < 1e-4


@pytest.mark.parametrize("negative", ["", "dull"])
def test_a_text_alone_is_drawn_as_by_diffusers(pair: Pair, negative: str) -> None:
    for name in list(SCHEDULERS)[:4]:
        sampling = Sampling(2, 4.0, negative=negative)
        assert pair.error(name, sampling, pictures=False) < 1e-4, name


def test_without_a_negative_prompt(pair: Pair) -> None:
    """SDXL's is zeros then, Stable Diffusion 1.5's the empty text."""
    assert pair.error("DDIMScheduler", Sampling(2, 4.0, 0.8)) < 1e-4


@pytest.mark.parametrize("family", SIZES)
def test_two_controlnets_add_up(family: str) -> None:
    assert Pair(family, controls=2).error("DDIMScheduler", Sampling(2, 4.0, 0.8)) < 1e-4


@pytest.mark.parametrize(("name", "steps", "strength"), [("DDIMScheduler", 1000, 0.3), ("LCMScheduler", 20, 0.3)])
def test_steps_that_a_scheduler_does_not_have_are_said(name: str, steps: int, strength: float) -> None:
    with pytest.raises(InputError, match=f"{name} has no {steps} steps at strength 0.3"):
        Pair("StableDiffusion").error(name, Sampling(steps, 1.0, strength))
