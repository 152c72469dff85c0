"""Train the pixel stream: python -m misc.train.hyperprior --data SHARDS --out FOLDER [--minutes N]

    photo ─► crop ─► hyperprior at a random quality ─► bits, draft ─► bits + lambda(quality) * distortion

The distortion is the squared error, plus the distance in features of the tagger's classifier, plus ST-LPIPS.

The run continues from OUT/state.pt if that exists. Otherwise it starts from the committed weights, from --start, or
--from-scratch. The moving average of the weights is written to OUT/hyperprior.safetensors. `accelerate launch` runs it
on many GPUs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from ..cli.app import run_alone
from ..configs import build
from ..errors import InputError
from ..models.hyperprior.distortion import LAMBDA_HIGH, FeatureDistance, squared_error, trade_off
from ..models.hyperprior.hyperprior import Hyperprior
from ..models.hyperprior.weights import load_hyperprior, save_hyperprior
from ..models.towers.efficientnet import EfficientNetLite
from ..models.towers.tagger import load_classifier
from ..profiles import load_profile
from . import options
from .data.images import crop_loader
from .loop import Settings, data_seed, descend, new_accelerator, print_result, run
from .losses.perceptual import perceptual_distance, st_lpips

__all__ = ["HyperpriorTask", "Recipe", "rate_distortion"]

WEIGHTS = "hyperprior.safetensors"


@dataclass(frozen=True)
class Recipe:
    """How the hyperprior is trained.

    Attributes:
        batch: number of crops per step.
        crop: side of a crop in pixels.
        learning_rate: highest learning rate.
        decay: last part of the run over which the learning rate falls.
        average: share of the old average of the weights that a step keeps.
        rate_ramp: number of steps over which the weight of the rate rises.
        perceptual: weight of ST-LPIPS against the squared error in 8-bit units; 0 for the squared error alone.
        perceptual_start: part of the run after which ST-LPIPS is used.
        perceptual_crop: side in pixels of the crops for ST-LPIPS.
        perceptual_count: number of crops for ST-LPIPS.
        quarter: share of the squared error that is computed at a quarter of the size.
        features: weight of the distance in the classifier's features, in the same units; 0 for none.
        config: shape of a new network, in models/configs; initial weights have their own.
    """

    batch: int = 8
    crop: int = 256
    learning_rate: float = 2e-4
    decay: float = 1.0
    average: float = 0.995
    rate_ramp: int = 1
    perceptual: float = 900.0
    perceptual_start: float = 0.0
    perceptual_crop: int = 128
    perceptual_count: int = 4
    quarter: float = 0.0
    features: float = 0.0
    config: str = "hyperprior"


def rate_distortion(
    output: dict[str, Any],
    x: Tensor,
    quality: Tensor,
    rate_weight: float,
    others: dict[str, Tensor],
    quarter: float = 0.0,
) -> tuple[Tensor, dict[str, float]]:
    """Mean loss of a batch, and its parts: (rate_weight * bpp + lambda * (mse + others)) * (c / lambda)^0.6.

    Each crop is weighted by lambda^-0.6, so that low and high rates have about the same influence.

    Args:
        output: of the hyperprior's forward.
        x: (B, 3, H, W) in [0, 1].
        quality: (B,) in [0, 1].
        rate_weight: factor of the rate, 0 to 1.
        others: (B,) further distances by their names, in units of the squared error.
        quarter: as in `squared_error`.
    """
    pixels = x.shape[2] * x.shape[3]
    bits = sum(-v.log2().flatten(1).sum(1) for v in output["likelihoods"].values())
    bpp = bits / pixels
    mse = squared_error(output["x_hat"], x, quarter)
    distortion = sum(others.values(), mse)
    weight = trade_off(quality)
    loss = (rate_weight * bpp + weight * distortion) * (LAMBDA_HIGH / weight) ** 0.6
    parts = {"loss": loss.mean().item(), "bpp": bpp.mean().item(), "mse": mse.mean().item()}
    return loss.mean(), parts | {name: distance.mean().item() for name, distance in others.items()}


class HyperpriorTask:
    """The hyperprior's training task.

    Args:
        model: the network to train.
        batches: endless crops (batch, 3, crop, crop) in [0, 1].
        recipe: of the training.
        accelerator: device and precision.
        classifier: needed if the recipe has `features`.

    Raises:
        InputError: it is needed and missing.
    """

    def __init__(
        self,
        model: Hyperprior,
        batches: Iterator[Tensor],
        recipe: Recipe,
        accelerator: Accelerator,
        classifier: EfficientNetLite | None = None,
    ) -> None:
        if recipe.features and classifier is None:
            raise InputError("the recipe compares features, which needs a classifier")
        self.classifier = classifier if recipe.features else None
        self.recipe, self.accelerator, self.batches = recipe, accelerator, batches
        self.model = model.train().requires_grad_(True).to(accelerator.device, memory_format=torch.channels_last)
        self.metric = st_lpips(accelerator.device) if recipe.perceptual else None
        self.networks: dict[str, nn.Module] = {"hyperprior": self.model}
        self.optimizers = [
            torch.optim.AdamW(self.model.parameters(), lr=recipe.learning_rate, weight_decay=0.0, fused=True)
        ]

    def step(self, step: int, done: float) -> dict[str, float]:
        """One batch; each crop has its own quality."""
        recipe = self.recipe
        x = next(self.batches).to(self.accelerator.device, memory_format=torch.channels_last)
        quality = torch.rand(len(x), device=x.device)
        with self.accelerator.autocast():
            output, others = self.model(x, quality), {}
            if self.metric is not None and done >= recipe.perceptual_start:
                others["perceptual"] = recipe.perceptual * perceptual_distance(
                    self.metric, output["x_hat"], x, recipe.perceptual_crop, recipe.perceptual_count
                )
            if self.classifier is not None:
                others["features"] = recipe.features * FeatureDistance(self.classifier, x)(output["x_hat"])
        ramp = min(1.0, 0.1 + 0.9 * step / max(1, recipe.rate_ramp))
        loss, parts = rate_distortion(output, x, quality, ramp, others, recipe.quarter)
        descend(loss, self.model, self.optimizers, self.accelerator)
        return parts

    def write(self, network: nn.Module, folder: Path) -> None:
        """Write the averaged hyperprior with its entropy model as integers."""
        save_hyperprior(network, folder / WEIGHTS)  # type: ignore[arg-type]


def main(
    data: options.Data,
    out: options.Out,
    start: options.Start = None,
    from_scratch: options.FromScratch = False,
    recipe_file: options.RecipeFile = None,
    minutes: options.Minutes = 60,
    steps: options.Steps = 1_000_000,
    seed: options.Seed = 0,
    workers: options.Workers = 1,
    profile: options.ProfileName = "embedded",
) -> None:
    """Train the pixel stream's hyperprior."""
    recipe = options.read_recipe(Recipe, "hyperprior", recipe_file, from_scratch=from_scratch)
    used = load_profile(profile)
    weights = options.choose_start(start, used.hyperprior.path, from_scratch=from_scratch)
    accelerator = new_accelerator(seed)
    batches = crop_loader(data, recipe.crop, recipe.batch, data_seed(out, seed, accelerator), workers)
    model = load_hyperprior(weights) if weights else build(Hyperprior, recipe.config)
    classifier = load_classifier(used.packages["efficientnet"].sound_path()) if recipe.features else None
    task = HyperpriorTask(model, iter(batches), recipe, accelerator, classifier)
    settings = Settings(out, steps, minutes, decay=recipe.decay, average=recipe.average, seed=seed)
    print_result(run(task, settings, accelerator), accelerator)


if __name__ == "__main__":
    run_alone(main)
