"""Train the embedded CLIP, which the locator uses.

    python -m misc.train.locator --features FOLDER [--boxes detections.jsonl] --out FOLDER [--minutes N]

    caption ─► text embedding ─┬─ contrast ─── image embedding ◄─ averaged patches
    names ───► text embedding ─┼─ sigmoid, the patches that match best ─── dense embeddings ◄─ patches
                               └─ sigmoid of every patch, by boxes ───────────────┘

`misc.train.prepare.features` makes FOLDER, `misc.train.prepare.detections` the boxes. Averaged patches make the
contrastive loss (CLIP, arXiv 2103.00020) cheap. The run continues from OUT/state.pt if that exists. Otherwise it starts
from the committed weights, from --start, or --from-scratch. The moving average of the weights is written to
OUT/clip.safetensors.
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
from ..configs import build
from ..models.clip.embedded import ClipHeads, load_clip_heads
from ..models.towers.text_features import load_text_tower
from ..profiles import load_profile
from . import options
from .checkpoint import write_tensors
from .data.named_patches import BOXED, LocatorBatch, NamedPatches
from .loop import Settings, data_seed, descend, new_accelerator, print_result, run
from .prepare.features import load_features

__all__ = ["LocatorTask", "Recipe", "box_loss", "contrast", "locator_losses", "name_loss"]

WEIGHTS = "clip.safetensors"
TOP = 12  # number of best patches, of 256, whose mean score counts for a name


@dataclass(frozen=True)
class Recipe:
    """How the heads are trained.

    Attributes:
        batch: number of photos per step.
        local_batch: number of these photos for the loss of names.
        names: number of names per step.
        learning_rate: highest learning rate.
        warm_up: number of steps over which it rises.
        decay: last part of the run over which it falls, linearly.
        average: share of the old average of the weights that a step keeps.
        config: shape of a new network, in models/configs; initial weights have their own.
    """

    batch: int = 384
    local_batch: int = 112
    names: int = 128
    learning_rate: float = 1e-3
    warm_up: int = 30
    decay: float = 1.0
    average: float = 0.99
    config: str = "clip-heads"


def contrast(image: Tensor, text: Tensor, scale: Tensor) -> Tensor:
    """InfoNCE of matching rows of (B, 256) embeddings, in both directions."""
    logits = scale.exp().clamp(max=100) * image @ text.T
    target = torch.arange(len(logits), device=logits.device)
    return (functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)) / 2


def name_loss(dense: Tensor, names: Tensor, present: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Sigmoid loss of whether a photo shows a name, from the patches that match it best.

    Args:
        dense: (B, P, 256) embeddings of patches.
        names: (N, 256) embeddings of names.
        present: (B, N) 1 if the photo shows the name, 0 if not, NaN if unknown.
        scale, bias: of the similarity, the scale as a logarithm.
    """
    similarity = torch.einsum("bpc,nc->bnp", dense, names).float()
    score = scale.exp() * similarity.topk(min(TOP, dense.shape[1]), -1).values.mean(-1) + bias
    known = ~present.isnan()
    loss = functional.binary_cross_entropy_with_logits(score, present.nan_to_num(), reduction="none")
    positive = known & (present > 0.5)
    negative = known & (present < 0.5)
    return loss[positive].mean() + loss[negative].mean()


def box_loss(dense: Tensor, names: Tensor, inside: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Loss of each patch's score for each name, and of the position of a name's best patches.

    Args:
        dense: (B, P, 256) embeddings of patches.
        names: (N, 256) embeddings of names.
        inside: (B, N, P) 1 in a box of the name, 0 outside, NaN if unknown.
        scale, bias: of the similarity, the scale as a logarithm.
    """
    logits = scale.exp() * torch.einsum("bpc,nc->bnp", dense, names).float() + bias
    positive, negative = inside > 0.5, inside < 0.5
    loss = functional.binary_cross_entropy_with_logits(logits, inside.nan_to_num(), reduction="none")
    shown = positive.any(-1)
    rows, there = logits[shown], positive[shown]
    pointing = rows.logsumexp(-1) - rows.masked_fill(~there, float("-inf")).logsumexp(-1)
    around = loss[shown][negative[shown]].mean()
    return loss[positive].mean() + around + loss[negative].mean() + pointing.mean()


def locator_losses(heads: ClipHeads, batch: LocatorBatch, box_names: Tensor) -> dict[str, Tensor]:
    """The losses of a batch; the loss of boxes only if there are boxes.

    Args:
        heads: the network to train.
        batch: on the device of the heads.
        box_names: (len(BOXED), 384) sentence vectors of the names that boxes may have.
    """
    image, text = heads.encode_image(batch.pooled), heads.encode_text(batch.captions)
    dense = functional.normalize(heads.local(batch.local), dim=-1).flatten(1, 2)
    names, boxed = (heads.encode_text(each).to(dense.dtype) for each in (batch.names, box_names))
    with torch.autocast(dense.device.type, enabled=False):
        losses = {
            "captions": contrast(image.float(), text.float(), heads.logit_scale),
            "names": name_loss(dense, names, batch.present, *heads.dense),
        }
        if bool((batch.inside > 0.5).any()):
            losses["boxes"] = box_loss(dense[batch.boxed], boxed, batch.inside, *heads.dense)
    return losses


class LocatorTask:
    """The heads' training task.

    Args:
        heads: the network to train.
        batches: endless batches.
        box_names: (len(BOXED), 384) sentence vectors of the names that boxes may have.
        recipe: of the training.
        accelerator: device and precision.
    """

    def __init__(
        self,
        heads: ClipHeads,
        batches: Iterator[LocatorBatch],
        box_names: Tensor,
        recipe: Recipe,
        accelerator: Accelerator,
    ) -> None:
        self.batches, self.accelerator = batches, accelerator
        self.box_names = box_names.to(accelerator.device)
        self.heads = heads.train().requires_grad_(True).to(accelerator.device)
        self.networks: dict[str, nn.Module] = {"clip": self.heads}
        self.optimizers = [torch.optim.AdamW(self.heads.parameters(), lr=recipe.learning_rate, weight_decay=0.05)]

    def step(self, step: int, done: float) -> dict[str, float]:
        """One batch."""
        batch = next(self.batches).to(self.accelerator.device)
        with self.accelerator.autocast():
            losses = locator_losses(self.heads, batch, self.box_names)
        descend(torch.stack([*losses.values()]).sum(), self.heads, self.optimizers, self.accelerator)
        return {name: loss.item() for name, loss in losses.items()}

    def write(self, network: nn.Module, folder: Path) -> None:
        """Write the averaged heads in half precision."""
        write_tensors(
            {name: value.half() for name, value in network.state_dict().items()}, folder / WEIGHTS, self.heads.config
        )


def main(
    features: Annotated[Path, typer.Option(help="folder that misc.train.prepare.features wrote")],
    out: options.Out,
    boxes: Annotated[Path | None, typer.Option(help="file that misc.train.prepare.detections wrote")] = None,
    start: options.Start = None,
    from_scratch: options.FromScratch = False,
    recipe_file: options.RecipeFile = None,
    minutes: options.Minutes = 10,
    steps: options.Steps = 1_000_000,
    seed: options.Seed = 0,
    profile: options.ProfileName = "embedded",
) -> None:
    """Train the embedded CLIP."""
    recipe = options.read_recipe(Recipe, "locator", recipe_file, from_scratch=from_scratch)
    parts = load_profile(profile)
    if parts.locator is None:
        raise typer.BadParameter(f"profile {profile} has no locator of its own", param_hint="--profile")
    weights = options.choose_start(start, parts.locator.path, from_scratch=from_scratch)
    heads = load_clip_heads(weights) if weights else build(ClipHeads, recipe.config)
    accelerator = new_accelerator(seed)
    tower = load_text_tower(parts.packages["minilm"].sound_path(), accelerator.device)
    patches = NamedPatches(load_features(features, boxes), tower)
    draw = random.Random(data_seed(out, seed, accelerator))
    batches = patches.batches(recipe.batch, recipe.local_batch, recipe.names, draw)
    task = LocatorTask(heads, batches, patches.embed(BOXED), recipe, accelerator)
    settings = Settings(
        out, steps, minutes, recipe.warm_up, recipe.decay, fade="linear", average=recipe.average, seed=seed
    )
    print_result(run(task, settings, accelerator), accelerator)


if __name__ == "__main__":
    run_alone(main)
