"""Train the embedded describer: python -m misc.train.describer --features FOLDER --out FOLDER [--minutes N]

patch tokens of a photo ─► projector ─► 64 visual tokens ─┐
                                        answers' tokens ──┴─► Llama ─► cross-entropy of the targets

`misc.train.prepare.features` makes FOLDER, `misc.train.data.answers` the answers. A second loss makes the visual tokens
similar to the embeddings of the captions' words. The run continues from OUT/state.pt if that exists. Otherwise it
starts from the committed weights, from --start, or, --from-scratch, from a random projector and the language model of
--language-model. The moving average of the weights is written to OUT/describer.safetensors.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import typer
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional

from ..cli.app import run_alone
from ..configs import build, read_config
from ..models.describer.network import TIED, DescriberNetwork, load_describer
from ..models.language_model.floats import load_floats
from ..profiles import load_profile
from . import options
from .checkpoint import write_tensors
from .data.answers import IGNORE, AnswerBatch, Answers, answer_batches, pack_answers
from .language_model import optimizers
from .loop import Settings, data_seed, descend, new_accelerator, print_result, run
from .prepare.features import load_features

__all__ = ["DescriberTask", "Recipe", "answer_loss", "word_loss"]

WEIGHTS = "describer.safetensors"
DROPOUT, SMOOTHING = 0.1, 0.05


@dataclass(frozen=True)
class Recipe:
    """How the describer is trained.

    Attributes:
        batch: number of photos per step.
        learning_rate: highest learning rate.
        warm_up: number of steps over which it rises.
        decay: last part of the run over which it falls, linearly.
        average: share of the old average of the weights that a step keeps.
        ground: first part of the run, in which only the projector is trained, with the captions' words.
        word_weight: weight of the captions' words against the answers.
        label_share: share of photos with a label and no caption.
        text_every: number of photo batches before each batch of text tasks.
        config: shape of a new projector, in models/configs; initial weights have their own.
    """

    batch: int = 32
    learning_rate: float = 1.5e-3
    warm_up: int = 50
    decay: float = 0.7
    average: float = 0.997
    ground: float = 0.0
    word_weight: float = 0.2
    label_share: float = 0.15
    text_every: int = 8
    config: str = "describer"


def word_loss(model: DescriberNetwork, visual: Tensor, bags: Sequence[Tensor]) -> Tensor:
    """Cross-entropy of the captions' words under the mean of the word distributions of the visual tokens.

    Args:
        model: its embeddings are the words.
        visual: (B, 64, width) visual tokens.
        bags: of each photo its words, (n, 2) number and share.
    """
    words = functional.normalize(model.language.model.embed_tokens.weight.detach(), dim=1)
    spoken = functional.layer_norm(visual, visual.shape[-1:]) @ words.T
    mixture = spoken.float().softmax(-1).mean(1)
    losses = [
        -(bag[:, 1].to(row.device) * row[bag[:, 0].long()].clamp_min(1e-9).log()).sum()
        for row, bag in zip(mixture, bags, strict=True)
    ]
    return torch.stack(losses).mean()


def answer_loss(model: DescriberNetwork, batch: AnswerBatch, word_weight: float = 0.0) -> Tensor:
    """Mean cross-entropy of the answers' target tokens, with label smoothing, and of the captions' words.

    Args:
        model: in training mode, with dropout of visual tokens and embeddings.
        batch: of photos or text tasks.
        word_weight: of `word_loss`, for batches of photos.
    """
    device = next(model.parameters()).device
    places = 0 if batch.patches is None else math.prod(batch.patches.shape[1:3])
    packed = pack_answers(batch.rows, places // model.square**2)
    tokens, targets, positions, visible = (x.to(device) for x in packed)
    embedded = model.embed(tokens)
    words: Tensor | float = 0.0
    if batch.patches is not None:
        patches = functional.dropout(batch.patches.to(device), DROPOUT, model.training)
        visual = functional.dropout(model.look(patches), DROPOUT, model.training)
        embedded = torch.cat([visual.to(embedded.dtype), embedded], 1)
        if word_weight:
            words = word_weight * word_loss(model, visual, batch.bags)
    embedded = functional.dropout(embedded, DROPOUT, model.training)
    hidden = model.language.model(embedded, visible, positions)[:, -tokens.shape[1] :]
    learned = targets != IGNORE
    logits = model.language.lm_head(hidden[learned])
    return functional.cross_entropy(logits.float(), targets[learned], label_smoothing=SMOOTHING) + words


class DescriberTask:
    """The describer's training task.

    Args:
        model: the network to train.
        batches: endless batches.
        recipe: of the training.
        accelerator: device and precision.
    """

    def __init__(
        self, model: DescriberNetwork, batches: Iterator[AnswerBatch], recipe: Recipe, accelerator: Accelerator
    ) -> None:
        self.recipe, self.accelerator, self.batches = recipe, accelerator, batches
        self.model = model.train().requires_grad_(True).to(accelerator.device)
        self.networks: dict[str, nn.Module] = {"describer": self.model}
        self.optimizers = optimizers(self.model, recipe.learning_rate)

    def step(self, step: int, done: float) -> dict[str, float]:
        """One batch of photos or of text tasks."""
        batch = next(self.batches)
        name = "answers" if batch.patches is not None else "text"
        with self.accelerator.autocast():
            if done < self.recipe.ground and batch.patches is not None:
                name = "words"
                loss = word_loss(self.model, self.model.look(batch.patches.to(self.accelerator.device)), batch.bags)
            else:
                loss = answer_loss(self.model, batch, self.recipe.word_weight)
        descend(loss, self.model, self.optimizers, self.accelerator)
        return {name: loss.item()}

    def write(self, network: nn.Module, folder: Path) -> None:
        """The averaged describer in bfloat16, without the output layer, which is the embedding."""
        state = {name: value.bfloat16() for name, value in network.state_dict().items() if name != TIED}
        write_tensors(state, folder / WEIGHTS, self.model.config)


def main(
    features: Annotated[Path, typer.Option(help="folder that misc.train.prepare.features wrote")],
    out: options.Out,
    language_model: Annotated[
        Path | None, typer.Option(help="weights of the language model to start from instead of the committed ones")
    ] = None,
    start: options.Start = None,
    from_scratch: options.FromScratch = False,
    recipe_file: options.RecipeFile = None,
    minutes: options.Minutes = 30,
    steps: options.Steps = 1_000_000,
    seed: options.Seed = 0,
    profile: options.ProfileName = "embedded",
) -> None:
    """Train the embedded describer."""
    recipe = options.read_recipe(Recipe, "describer", recipe_file, from_scratch=from_scratch)
    parts = load_profile(profile)
    if parts.describer is None:
        raise typer.BadParameter(f"profile {profile} has no describer of its own", param_hint="--profile")
    weights = options.choose_start(start, parts.describer.path, from_scratch=from_scratch)
    language, tokenizer = load_floats(language_model or parts.small_language_model.path)
    accelerator = new_accelerator(seed)
    model = (
        load_describer(weights)
        if weights
        else build(DescriberNetwork, read_config(recipe.config) | {"language": language})
    )
    photos = load_features(features)
    answers = Answers(tokenizer, photos.facts, random.Random(data_seed(out, seed, accelerator)))
    batches = answer_batches(
        photos, answers, recipe.batch, label_share=recipe.label_share, text_every=recipe.text_every
    )
    task = DescriberTask(model, batches, recipe, accelerator)
    settings = Settings(
        out, steps, minutes, recipe.warm_up, recipe.decay, fade="linear", average=recipe.average, seed=seed
    )
    print_result(run(task, settings, accelerator), accelerator)


if __name__ == "__main__":
    run_alone(main)
