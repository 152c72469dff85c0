"""Train the generator: python -m misc.train.diffusion --data SHARDS --scenes scenes.jsonl --out FOLDER --from-scratch

    photo ─► crop ─┬─► hyperprior at a random quality ─► draft at a quarter ─┐
    scene ─────────┼─► masks, texts ─────────────────────────────────────────┼─► ControlNet, UNet ─► velocity
                   └─► latents at 1/8, mixed with noise ─────────────────────┘        flow matching (arXiv 2210.02747)

The UNet draws at a quarter of the size, in latents of `misc.models.decoder.quarter_autoencoder`. `misc.train.upsampler`
trains the network that enlarges the result. Any subset of the conditions is dropped at random.

The run continues from OUT/state.pt if that exists. Otherwise it starts from the committed weights, from --start (a
folder of this trainer), or --from-scratch. The moving average of the weights is written to OUT/generator in 8 bits per
weight (unet/ controlnet/ scheduler/). OUT/drawn.png shows photos, drafts and drawn images at a quarter of the size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional
from torchvision.utils import save_image

from ..cli.app import run_alone
from ..configs import build
from ..models.decoder.quarter_autoencoder import QUARTER, SCALING, SHUFFLE, quarter_latents
from ..models.decoder.text_encoders import MiniLmText, TextEncoder
from ..models.hyperprior.weights import load_hyperprior
from ..models.towers.text_features import load_text_tower
from ..profiles import load_profile
from . import options
from .data.conditions import Kept, Shown, choose_conditions, show
from .data.scene_batches import SceneBatch, scene_loader
from .generator import Generator, draw, load_generator, new_generator, save_generator
from .loop import Settings, data_seed, descend, new_accelerator, print_result, run

__all__ = ["GeneratorTask", "Recipe", "flow_loss"]

PART, PREVIEW = "generator", "drawn.png"
PREVIEW_IMAGES, PREVIEW_STEPS = 4, 4


@dataclass(frozen=True)
class Recipe:
    """How the generator is trained.

    Attributes:
        batch: number of crops per step.
        size: side of a crop in pixels, a multiple of 64; the generator draws at a quarter of it.
        learning_rate: highest learning rate.
        warm_up: number of steps over which it rises.
        decay: last part of the run over which it falls.
        average: share of the old average of the weights that a step keeps.
        quality: range of the pixel stream's quality, 0 to 1.
        drop_pixels, drop_text, drop_masks: probability of dropping a condition, 0 to 1.
        sharp: share of photos without captions.
        config: shape of a new network, in models/configs; initial weights have their own.
    """

    batch: int = 64
    size: int = 768
    learning_rate: float = 2e-4
    warm_up: int = 500
    decay: float = 0.3
    average: float = 0.9995
    quality: tuple[float, float] = (0.2, 1.0)
    drop_pixels: float = 0.4
    drop_text: float = 0.2
    drop_masks: float = 0.3
    sharp: float = 0.6
    config: str = "generator"


def flow_loss(generator: Generator, latents: Tensor, shown: Shown) -> Tensor:
    """Squared error of the velocity at random noise shares, half of them logit-normal: the middle is harder."""
    count, device = len(latents), latents.device
    middle = torch.randn(count, device=device).sigmoid()
    sigma = torch.where(torch.rand(count, device=device) < 0.5, middle, torch.rand(count, device=device))
    noise = torch.randn_like(latents)
    share = sigma[:, None, None, None]
    velocity = generator((1 - share) * latents + share * noise, sigma, shown)
    return functional.mse_loss(velocity, noise - latents)


class GeneratorTask:
    """The generator's training task.

    Args:
        generator: the network to train.
        batches: endless batches of crops of `recipe.size`.
        text: encodes their texts.
        hyperprior: makes the drafts.
        recipe: of the training.
        accelerator: device and precision.
    """

    def __init__(
        self,
        generator: Generator,
        batches: Iterator[SceneBatch],
        text: TextEncoder,
        hyperprior: nn.Module,
        recipe: Recipe,
        accelerator: Accelerator,
    ) -> None:
        self.recipe, self.accelerator, self.batches, self.text = recipe, accelerator, batches, text
        self.hyperprior = hyperprior.eval().requires_grad_(False).to(accelerator.device)
        self.generator = generator.train().requires_grad_(True).to(accelerator.device)
        if accelerator.device.type == "cuda":  # on a CPU this layout is slower
            self.generator.to(memory_format=torch.channels_last)
        self.networks: dict[str, nn.Module] = {PART: self.generator}
        self.optimizers = [
            torch.optim.AdamW(
                self.generator.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.99), weight_decay=0.01
            )
        ]
        self.last: tuple[Tensor, Tensor, Shown] | None = None

    def step(self, step: int, done: float) -> dict[str, float]:
        """One batch; each crop has its own conditions."""
        scene = next(self.batches)
        kept = choose_conditions(scene.located, self.recipe)
        with self.accelerator.autocast():
            latents, drafts, shown = self.prepare(scene, kept)
            loss = flow_loss(self.generator, latents, shown)
        descend(loss, self.generator, self.optimizers, self.accelerator)
        self.last = latents, drafts, shown
        return {"flow": loss.item()}

    @torch.no_grad()
    def prepare(self, scene: SceneBatch, kept: Kept) -> tuple[Tensor, Tensor, Shown]:
        """Scaled latents (B, 12, S/8, S/8), drafts at a quarter (B, 3, S/4, S/4) in [0, 1], zero if they are
        dropped, and the conditions."""
        device = self.accelerator.device
        photos = scene.images.to(device)
        drafts = torch.zeros(len(photos), 3, *(side // QUARTER for side in photos.shape[2:]), device=device)
        coded = kept.pixels.to(device)
        if bool(coded.any()):
            quality = torch.empty(int(coded.sum()), device=device).uniform_(*self.recipe.quality)
            decoded = self.hyperprior(photos[coded], quality)["x_hat"].float().clamp(0, 1)
            drafts[coded] = functional.avg_pool2d(decoded, QUARTER)
        shown = show(self.text, scene, drafts, kept, levels=self.generator.levels, dtype=torch.float32)
        return SCALING * quarter_latents(photos * 2 - 1), drafts, shown

    def write(self, network: nn.Module, folder: Path) -> None:
        """Write the averaged generator in diffusers' layout, 8 bits per weight, and its images of the last batch."""
        generator: Any = network
        save_generator(generator, folder / PART)
        if self.last is not None:
            latents, drafts, shown = self.last
            with self.accelerator.autocast():
                drawn = draw(generator, latents, torch.randn_like(latents), shown, 1.0, PREVIEW_STEPS)
            rows = [to_quarter(latents), drafts, to_quarter(drawn)]
            save_image(torch.cat([row[:PREVIEW_IMAGES].cpu() for row in rows]), folder / PREVIEW, nrow=PREVIEW_IMAGES)


def to_quarter(latents: Tensor) -> Tensor:
    """Images at a quarter (B, 3, S/4, S/4) in [0, 1] of scaled latents (B, 12, S/8, S/8)."""
    return (functional.pixel_shuffle(latents / SCALING, SHUFFLE) / 2 + 0.5).clamp(0, 1)


def main(
    data: options.Data,
    scenes: Annotated[Path, typer.Option(help="file that misc.train.prepare.scenes wrote")],
    out: options.Out,
    start: options.Start = None,
    from_scratch: options.FromScratch = False,
    recipe_file: options.RecipeFile = None,
    minutes: options.Minutes = 600,
    steps: options.Steps = 1_000_000,
    seed: options.Seed = 0,
    workers: options.Workers = 4,
    profile: options.ProfileName = "embedded",
) -> None:
    """Train the generator, which draws at a quarter of the size."""
    recipe = options.read_recipe(Recipe, PART, recipe_file, from_scratch=from_scratch)
    committed = Path(str(resources.files("misc.checkpoints"))) / "embedded" / PART
    weights = options.choose_start(start, committed, from_scratch=from_scratch, holds="unet")
    accelerator = new_accelerator(seed)
    generator = load_generator(weights) if weights else build(new_generator, recipe.config)
    batches = scene_loader(
        data, scenes, recipe.size, recipe.batch, data_seed(out, seed, accelerator), workers, recipe.sharp
    )
    parts = load_profile(profile)
    text = MiniLmText(lambda: load_text_tower(parts.packages["minilm"].sound_path())).to(accelerator.device)
    hyperprior = load_hyperprior(parts.hyperprior.path)
    task = GeneratorTask(generator, iter(batches), text, hyperprior, recipe, accelerator)
    settings = Settings(out, steps, minutes, recipe.warm_up, recipe.decay, average=recipe.average, seed=seed)
    print_result(run(task, settings, accelerator), accelerator)


if __name__ == "__main__":
    run_alone(main)
