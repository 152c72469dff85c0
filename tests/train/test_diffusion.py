"""The generator's trainer: tiny networks learn, go on, and are drawn with as they were trained."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from torch import Tensor

from misc.bits.regions.maps import RegionMaps
from misc.bits.streams import Streams
from misc.bits.text.description import Description, Item
from misc.decoder_profile import Sampling
from misc.models.decoder.decoder import ControlPart, Decoder, Parts, Scene
from misc.models.decoder.noise import gaussian
from misc.models.decoder.quarter_autoencoder import QUARTER, SCALING, QuarterAutoencoder, quarter_latents
from misc.models.decoder.text_encoders import TextFeatures
from misc.train import diffusion
from misc.train.data.conditions import Kept, choose_conditions, show
from misc.train.data.scene_batches import SceneBatch
from misc.train.diffusion import GeneratorTask, Recipe, flow_loss
from misc.train.generator import Generator, draw, load_generator, new_generator
from tests.support.images import sample_picture
from tests.support.models import tiny_hyperprior
from tests.train.learning import ACCELERATOR, assert_learns

SIDE = 64
RECIPE = Recipe(batch=4, size=SIDE, learning_rate=2e-3, drop_pixels=0.3, drop_text=0.3, drop_masks=0.3)


class Letters:
    """In place of MiniLM: one state a letter."""

    def encode(self, texts: list[str]) -> TextFeatures:
        length = 2 + max(map(len, texts))
        states, tokens = torch.zeros(len(texts), length, 384), torch.zeros(len(texts), length, dtype=torch.bool)
        for row, text in enumerate(texts):
            tokens[row, : len(text) + 2] = True
            for column, letter in enumerate(text.encode()):
                states[row, column, letter] = 1
        return TextFeatures(states, tokens, tokens)

    def to(self, _: object) -> "Letters":
        return self


SHAPE = {
    "unet": {
        "in_channels": 12,
        "out_channels": 12,
        "block_out_channels": [16, 32],
        "layers_per_block": 1,
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
        "cross_attention_dim": 384,
        "attention_head_dim": 2,
        "norm_num_groups": 4,
    },
    "controlnet": {"conditioning_channels": 6, "conditioning_embedding_out_channels": [8, 16]},
}


def tiny_generator() -> Generator:
    torch.manual_seed(0)
    return new_generator(**SHAPE)


def scene_batch(count: int = 4) -> SceneBatch:
    pictures = [np.array(sample_picture(SIDE, SIDE, seed)) for seed in range(count)]
    images = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
    masks = torch.zeros(count, 3, SIDE // QUARTER, SIDE // QUARTER)
    masks[:, 0, 4:8, 2:10] = 1
    located = torch.arange(count) < count - 1
    return SceneBatch(images, masks * located[:, None, None, None], located, [["a dog", "dog, brown"]] * count)


def new_task(generator: Generator, recipe: Recipe = RECIPE) -> GeneratorTask:
    return GeneratorTask(
        generator,
        itertools.repeat(scene_batch(recipe.batch)),
        Letters(),  # type: ignore[arg-type]
        tiny_hyperprior(),
        recipe,
        ACCELERATOR,
    )


def all_of(count: int, value: bool = True) -> Kept:
    return Kept(*(torch.full((count,), value) for _ in range(3)))


def test_it_learns_and_writes_what_it_loads(tmp_path: Path) -> None:
    task = new_task(tiny_generator())
    latents, _, shown = task.prepare(scene_batch(), all_of(4))

    def measure(generator: Generator) -> Tensor:
        with torch.random.fork_rng():
            torch.manual_seed(5)
            return torch.stack([flow_loss(generator, latents, shown) for _ in range(4)]).mean()

    assert_learns(task, tmp_path, 40, measure, share=0.75)  # type: ignore[arg-type]
    written = load_generator(tmp_path / "generator").state_dict()
    for name, value in torch.load(tmp_path / "state.pt", weights_only=True)["average"].items():
        torch.testing.assert_close(written[name], value, atol=0.02, rtol=0.02)
    assert (tmp_path / "drawn.png").is_file()


def test_a_run_goes_on(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diffusion, "MiniLmText", lambda _: Letters())
    monkeypatch.setattr(diffusion, "load_hyperprior", lambda _: tiny_hyperprior())
    recipe = tmp_path / "recipe.toml"
    (tmp_path / "tiny.json").write_text(json.dumps(SHAPE))
    recipe.write_text(f"batch = 2\nsize = {SIDE}\nconfig = '{tmp_path / 'tiny.json'}'\n")
    common = {"data": [data], "scenes": data / "scenes.jsonl", "recipe_file": recipe, "workers": 0}
    for steps in (1, 2):
        diffusion.main(out=tmp_path / "out", from_scratch=True, steps=steps, **common)  # type: ignore[arg-type]
        assert torch.load(tmp_path / "out" / "state.pt", weights_only=True)["step"] == steps
    first = load_generator(tmp_path / "out" / "generator").state_dict()
    diffusion.main(out=tmp_path / "on", start=tmp_path / "out" / "generator", steps=0, **common)  # type: ignore[arg-type]
    second = load_generator(tmp_path / "on" / "generator").state_dict()
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, atol=1e-3, rtol=0)


def test_conditions_are_left_out_each_by_its_own_chance() -> None:
    torch.manual_seed(0)
    located = torch.arange(4000) % 2 == 0
    kept = choose_conditions(located, Recipe(drop_pixels=0.4, drop_text=0.2, drop_masks=0.3))
    shares = [float(each.float().mean()) for each in (kept.pixels, kept.text, kept.masks[located])]
    assert shares == pytest.approx([0.6, 0.8, 0.7], abs=0.04)
    assert not kept.masks[~located].any()
    subsets = {
        (p, t, m) for p, t, m in zip(*(each.tolist() for each in (kept.pixels, kept.text, kept.masks)), strict=True)
    }
    assert len(subsets) == 8


def test_what_is_left_out_is_not_shown() -> None:
    scene = scene_batch(2)
    drafts = torch.rand(2, 3, SIDE // QUARTER, SIDE // QUARTER)
    options = {"levels": 2, "dtype": torch.float32}
    none = show(Letters(), scene, drafts, all_of(2, value=False), **options)  # type: ignore[arg-type]
    assert not none.control.any()
    assert not none.gate.any()
    assert not none.states.any()
    every = show(Letters(), scene, drafts, Kept(*(torch.tensor([True, False]),) * 3), **options)  # type: ignore[arg-type]
    torch.testing.assert_close(every.control[:1], torch.cat([drafts, scene.masks], 1)[:1])
    assert every.gate.flatten().tolist() == [1, 0]
    assert every.bias is not None
    visible = (every.bias[64][:, 0] > -torch.inf).any(1)  # of keys, anywhere
    assert every.states[0, visible[0]].any()
    assert not every.states[1, visible[1]].any()
    item = every.bias[64][0, 0]  # 8 x 8 positions: the item's words act inside its mask alone
    assert bool((item == -torch.inf).any(1).view(8, 8)[0].all())


def test_only_drafts_that_are_kept_are_made() -> None:
    task = new_task(tiny_generator())
    coded = torch.tensor([True, False, True, False])
    _, drafts, shown = task.prepare(scene_batch(), Kept(coded, ~coded, coded))
    assert drafts.flatten(1).any(1).tolist() == [True, False, True, False]
    torch.testing.assert_close(shown.control[:, :3], drafts)


class Unsharpened(torch.nn.Module):
    """In place of the upsampler: what was enlarged stays as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, draft: Tensor, quality: Tensor, noise: Tensor) -> Tensor:
        return draft


def decoder_of(generator: Generator, **changes: float) -> Decoder:
    scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000)
    vae = QuarterAutoencoder(Unsharpened())
    parts = Parts(generator.unet, vae, scheduler, Letters(), (ControlPart(generator.controlnet),))  # type: ignore[arg-type]
    return Decoder(parts, Sampling(2, colour="none", **changes), native=64, tile=96, text_steps=3)  # type: ignore[arg-type]


def test_training_and_drawing_are_one_function() -> None:
    generator = tiny_generator().eval()
    for layer in (*generator.controlnet.controlnet_down_blocks, generator.controlnet.controlnet_mid_block):
        torch.nn.init.normal_(layer.weight, std=0.2)
    decoder = decoder_of(generator, strength=0.4)
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    images = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float() / 255
    scene = SceneBatch(images, torch.zeros(1, 3, 12, 16), torch.tensor([False]), [["a dog", "dog, brown"]])
    kept = Kept(torch.tensor([True]), torch.tensor([True]), torch.tensor([False]))
    drafts = torch.nn.functional.avg_pool2d(images, QUARTER)
    shown = show(Letters(), scene, drafts, kept, levels=2, dtype=torch.float32)  # type: ignore[arg-type]
    noise = torch.from_numpy(gaussian(3, (1, 12, 6, 8)))
    latents = draw(generator, SCALING * quarter_latents(images * 2 - 1), noise, shown, 0.4, 2)
    with torch.no_grad():
        expected = decoder.vae.decode(latents / SCALING).sample[0].permute(1, 2, 0) * 127.5 + 127.5
    text = Description("a dog", (Item("dog", "brown"),))
    drawn = decoder.draw(Scene(Streams(64, 48, 3, text), pixels))
    assert np.abs(drawn - expected.clamp(0, 255).numpy()).max() < 0.6
    assert ((drawn > 0) & (drawn < 255)).mean() > 0.5
    other = decoder.draw(Scene(Streams(64, 48, 4, text), pixels))
    assert (other != drawn).any()


def test_every_subset_is_drawn() -> None:
    decoder = decoder_of(tiny_generator().eval(), strength=0.5)
    maps, text = RegionMaps(np.ones((1, 8, 10), bool)), Description("a dog")
    told: list[tuple[int, int]] = []
    pixels = np.asarray(sample_picture(60, 50))
    for scene, steps in (
        (Scene(Streams(60, 50), pixels), 2),
        (Scene(Streams(60, 50, text=text)), 3),
        (Scene(Streams(60, 50, text=text, regions=maps), pixels), 2),
    ):
        drawn = decoder.draw(scene, progress=lambda *step: told.append(step))
        assert drawn.shape == (50, 60, 3)
        assert told[-1] == (steps, steps)
