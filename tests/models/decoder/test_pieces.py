"""What the decoder is made of, each by itself."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler

from misc.bits.regions.maps import RegionMaps
from misc.bits.streams import Streams
from misc.bits.text.description import Description
from misc.decoder_profile import Sampling
from misc.errors import InputError, WeightsError
from misc.eval.random_parts import random_parts, text_of
from misc.models.decoder.colour import correct, low_frequencies
from misc.models.decoder.decoder import Parts
from misc.models.decoder.denoiser import Denoiser, Guide, predictor
from misc.models.decoder.edges import edges
from misc.models.decoder.noise import gaussian
from misc.models.decoder.regional_attention import biases, planes_of, prompt_of, stack_prompts
from misc.models.decoder.sampling import sample, timetable
from misc.models.decoder.scene import Scene, frame_of
from misc.models.decoder.tiling import Window, axis_weights, blend, starts, windows

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def parts() -> Parts:
    return random_parts("tiny")


def half() -> RegionMaps:
    """One item, in the left half."""
    masks = np.zeros((1, 4, 8), np.bool_)
    masks[0, :, :4] = True
    return RegionMaps(masks)


def test_noise_is_a_matter_of_the_seed_alone() -> None:
    noise = gaussian(5, (4, 32, 32))
    np.testing.assert_array_equal(noise, gaussian(5, (4, 32, 32)))
    np.testing.assert_array_equal(noise.reshape(-1)[:7], gaussian(5, (7,)))
    assert abs(noise.mean()) < 0.05
    assert abs(noise.std() - 1) < 0.05
    for other in (gaussian(6, (4, 32, 32)), gaussian(5, (4, 32, 32), stream=1)):
        assert abs(np.corrcoef(noise.reshape(-1), other.reshape(-1))[0, 1]) < 0.05
    np.testing.assert_allclose(gaussian(0, (3,)), NOISE_OF_SEED_0, rtol=1e-6)


NOISE_OF_SEED_0 = [0.15853384, 2.9828794, -1.925692]


@pytest.mark.parametrize(("length", "tile", "overlap"), [(10, 16, 4), (17, 16, 4), (100, 16, 4), (33, 32, 8)])
def test_tiles_cover_and_their_weights_add_up_to_one(length: int, tile: int, overlap: int) -> None:
    for scale in (1, 8):
        total = torch.zeros(length * scale)
        begins = starts(length, tile, overlap)
        for begin, weight in zip(begins, axis_weights(length, tile, overlap, scale), strict=True):
            assert (weight >= 0).all()
            total[begin * scale : begin * scale + len(weight)] += weight
        torch.testing.assert_close(total, torch.ones(length * scale))
        assert all(b - a <= tile - overlap for a, b in itertools.pairwise(begins))


def test_blending_has_no_seams() -> None:
    def constant(window: Window) -> torch.Tensor:
        return torch.full((1, 3, window.height * 8, window.width * 8), 0.25)

    field = blend(constant, 40, 51, 16, 4, scale=8)
    assert field.shape == (1, 3, 320, 408)
    torch.testing.assert_close(field, torch.full_like(field, 0.25))
    ramp = torch.arange(51.0).expand(1, 1, 40, 51)
    torch.testing.assert_close(blend(lambda window: window.of(ramp), 40, 51, 16, 4), ramp)
    assert windows(16, 10, 16, 4) == [Window(0, 0, 16, 10)]


def test_blending_hides_a_jump_between_tiles() -> None:
    field = blend(lambda w: torch.full((1, 1, w.height, w.width), float(w.left)), 16, 28, 16, 8)[0, 0, 0]
    assert field[0] == 0
    assert field[-1] == 12
    assert field.diff().max() < 12 / 2


@pytest.mark.parametrize("method", ["wavelet", "adain"])
def test_colours_become_the_references(method: str) -> None:
    draw = np.random.default_rng(0)
    reference = draw.integers(60, 200, (48, 64, 3)).astype(np.uint8)
    faded = (reference * 0.6 + 70).astype(np.uint8)
    fixed = correct(faded, reference, method)
    assert abs(fixed.mean() - reference.mean()) < 1
    assert correct(faded, reference, "none") is faded
    if method == "adain":
        assert abs(fixed.std() - reference.std()) < 1


def test_low_frequencies_leave_a_constant_and_drop_a_checkerboard() -> None:
    constant = torch.full((1, 3, 20, 30), 7.0)
    torch.testing.assert_close(low_frequencies(constant), constant)
    checker = (torch.arange(64)[:, None] + torch.arange(64)) % 2 * 2.0 - 1
    assert low_frequencies(checker[None, None])[0, 0, 16:48, 16:48].abs().max() < 0.01


def test_one_step_of_flow_matching_undoes_its_noise() -> None:
    latents, noise = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    seen = []

    def predict(current: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        seen.append((current, float(time)))
        return noise - latents

    scheduler = FlowMatchEulerDiscreteScheduler()
    result = sample(predict, scheduler, noise, steps=1, strength=0.4, latents=latents)
    torch.testing.assert_close(seen[0][0], 0.6 * latents + 0.4 * noise)
    assert seen[0][1] == pytest.approx(400)
    torch.testing.assert_close(result, latents)


@pytest.mark.parametrize("kind", [DDIMScheduler, UniPCMultistepScheduler, FlowMatchEulerDiscreteScheduler])
@pytest.mark.parametrize(("steps", "strength"), [(1, 1.0), (4, 0.5), (20, 0.6)])
def test_steps_are_calls_of_the_network(kind: type, steps: int, strength: float) -> None:
    flow = kind is FlowMatchEulerDiscreteScheduler
    scheduler = kind() if flow else kind(timestep_spacing="trailing")
    times = timetable(scheduler, steps, strength, CPU)
    assert len(times) == steps
    assert float(times[0]) == pytest.approx(1000 * strength, abs=25)
    noise = torch.randn(1, 4, 8, 8)
    calls = []
    sample(lambda x, _: calls.append(1) or x, scheduler, noise, steps=steps, strength=strength, latents=noise)
    assert len(calls) == steps


def test_soft_edges_are_logarithms_of_the_mask() -> None:
    planes = planes_of(half(), 1, (8, 16), (8, 16))
    assert planes[0, 0].max() == 0
    assert planes[0, 1].min() == 1
    row = planes[0, 2, 4]
    assert row[:7].eq(1).all()
    assert row[9:].eq(0).all()
    assert 0 < row[8] < row[7] < 1
    bias = biases(planes, torch.tensor([[1, 2, 0]]), 2, torch.float32)
    assert bias is not None
    assert bias[128].shape == (1, 1, 128, 3)
    assert bias[32].shape == (1, 1, 32, 3)
    grid = bias[128].reshape(8, 16, 3)
    assert grid[..., 0].eq(0).all()
    assert grid[..., 2].eq(-math.inf).all()
    torch.testing.assert_close(grid[4, :, 1].exp(), row)
    assert biases(planes, torch.tensor([[1, 1]]), 2, torch.float32) is None


def test_without_regions_attention_is_diffusers_own(parts: Parts) -> None:
    latents, states = torch.randn(1, 4, 8, 8), torch.randn(1, 9, 16)
    unet = random_parts("tiny").unet
    plain = unet(latents, 500, states).sample
    ours = Denoiser(unet)(latents, torch.tensor(500), states, None, [], None, 1.0)
    torch.testing.assert_close(ours, plain)


def test_an_items_words_act_inside_its_mask_only(parts: Parts) -> None:
    denoiser = Denoiser(parts.unet)
    found: list[torch.Tensor] = []
    first = parts.unet.down_blocks[0].attentions[0].transformer_blocks[0].attn2
    hook = first.register_forward_hook(lambda *call: found.append(call[2]))
    planes = planes_of(half(), 1, (8, 16), (8, 16))
    latents = torch.randn(1, 4, 8, 16)
    for item in ("cat, grey", "dog, brown"):
        guide = Guide(stack_prompts([prompt_of(parts.text, "a yard", [item])]), planes, [])
        predict = predictor(denoiser, guide, levels=2, tile=64, overlap=8, dtype=torch.float32)
        predict(latents, torch.tensor(500))
    hook.remove()
    change = (found[0] - found[1]).abs().amax(2).reshape(8, 16)
    assert change[:, :9].min() > 0
    assert change[:, 9:].max() == 0


def test_texts_beyond_clips_window_are_seen_whole(parts: Parts) -> None:
    long = prompt_of(parts.text, "abcdefgh " * 12)  # 96 letters
    assert long.states.shape == (1, 2 * 77, 16)
    both = stack_prompts([long, prompt_of(parts.text, "short", ["item"])])
    assert both.states.shape == (2, 160, 16)
    assert (both.plane[1] == 1).sum() == 77
    assert (both.plane[1] == 2).sum() == len("item") + 2


def test_features_of_a_text_do_not_depend_on_the_texts_beside_it() -> None:
    wide = {"hidden_size": 1280, "intermediate_size": 1280, "num_hidden_layers": 1, "num_attention_heads": 20}
    torch.manual_seed(0)
    encoder = text_of([{**wide, "hidden_size": 64, "num_attention_heads": 2}, wide], 300)
    for model in encoder.models:
        model.eval().to(torch.bfloat16)
    texts = [f"photo {k} of {chr(97 + k)}{k * k}" for k in range(16)]
    together = encoder.encode(texts)
    for k, text in enumerate(texts):
        alone = encoder.encode([text])
        assert torch.equal(together.states[k], alone.states[0])
        assert together.pooled is not None
        assert alone.pooled is not None
        assert torch.equal(together.pooled[k], alone.pooled[0]), "how a product is rounded depends on its rows"


def test_sizes_of_text_alone_are_the_networks_own() -> None:
    text = Description("a cat")
    frame = frame_of(Scene(Streams(64, 48, text=text)), native=512, tile=768, factor=8, multiple=8)
    assert (frame.width, frame.height, frame.columns, frame.rows) == (591, 443, 80, 56)
    frame = frame_of(Scene(Streams(4000, 100, text=text)), native=512, tile=768, factor=8, multiple=8)
    assert (frame.width, frame.height) == (768, 19)
    pixels = np.zeros((48, 64, 3), np.uint8)
    frame = frame_of(Scene(Streams(64, 48), pixels), native=512, tile=768, factor=8, multiple=8)
    assert (frame.width, frame.height, frame.columns, frame.rows) == (64, 48, 8, 8)


def test_edges_are_where_the_picture_jumps() -> None:
    image = np.full((64, 128, 3), 40, np.uint8)
    assert edges("canny", image).max() == 0
    image[:, 64:] = 220
    found = edges("canny", image)
    assert found.shape == image.shape
    columns = np.flatnonzero(found.any((0, 2)))
    assert 60 <= columns.min() <= columns.max() <= 67
    with pytest.raises(WeightsError, match="'depth'"):
        edges("depth", image)
    with pytest.raises(WeightsError, match="not here"):
        edges("hed", image, Path("/nowhere"))


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 0},
        {"strength": 0.0},
        {"strength": 1.5},
        {"guidance": 0.5},
        {"eta": -0.1},
        {"eta": 1.1},
        {"fusion": "x"},
        {"colour": "x"},
    ],
)
def test_choices_out_of_range_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(InputError):
        Sampling(**({"steps": 1} | options))  # type: ignore[arg-type]
