"""Train the text coder `words`: a vocabulary, a small network over it, and the probabilities that a text ends.

    python -m misc.train.words --data FOLDER --out FOLDER [--texts FILE.txt] [--phrases FILE.txt] [--steps N]

    descriptions, captions, texts, phrases ─► counts of words ─► vocabulary of words and pieces
                                           └► lists and prose (`misc.train.data.word_lists`) ─► Llama ─► integers
    lists and prose, coded with the integers ─► bits left where texts end or continue ─► probabilities of the end

FOLDER of data holds `captioned-train-*.tar` (also `photos-*` and `boxes-*`, if they exist) and
`text/lmm_descriptions.jsonl`; training reads only the `training_half` (`misc.train.data.texts`) of the latter. The
initial embeddings are principal components of those of lm-large, if `misc pull` has made that model, else random. The
run continues from OUT/state.pt if that exists. The moving average is written to OUT/words.safetensors as the exact
integers that `misc.bits.text.words` runs. New weights need a new coder number.
"""

from __future__ import annotations

import copy
import json
import math
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from accelerate import Accelerator
from torch import Tensor, nn

from ..bits.arithmetic.transformer import Config
from ..bits.text.language_model import load_model
from ..bits.text.model_file import ModelFile
from ..bits.text.word_pieces import LETTERS, MORE, WordPieces
from ..bits.text.words import END_LEFT, Words
from ..cli.app import run_alone
from ..configs import build
from ..models.language_model.llama import Llama
from ..models.language_model.words import LINE, SPECIAL, write_words
from ..models.semantics import Semantics
from ..models.towers.importance import WordImportance, distinct_words, sentences_of
from ..profiles import load_profile
from ..weights.checks import State
from . import options
from .data.noun_phrases import describe_captions
from .data.text_vectors import TextVectors
from .data.texts import captions, held_out_half, read_descriptions, training_half
from .data.word_batches import NOTHING, Mixture, batches, draw_text, known_tokens, list_token
from .data.word_lists import draw_list, sources_of
from .data.word_vocabulary import choose_words
from .language_model import optimizers
from .loop import Settings, data_seed, descend, new_accelerator, print_result, run
from .word_ends import end_shares

__all__ = ["Recipe", "WordsTask", "next_word_loss"]

WEIGHTS, TRIED, VOCABULARY = "words.safetensors", "tried.safetensors", "vocabulary.json"
LOG_2 = math.log(2)
SPREAD = 0.06  # standard deviation of the initial embeddings
HELD_OUT = 50  # lists that are measured
COUNTED = 150  # texts for counting ends


@dataclass(frozen=True)
class Recipe:
    """How the model is trained.

    Attributes:
        tokens: approximate number of tokens per step.
        longest: largest number of tokens of a text; the rest is cut off.
        learning_rate: highest learning rate.
        warm_up: number of steps over which it rises.
        decay: last part of the run over which it falls, linearly.
        average: share of the old average of the weights that a step keeps.
        strange: share of input tokens that are replaced by random ones, as a regularisation.
        dropout: share of the embeddings' and of the last states' values that are set to zero, as a regularisation.
        left_out: mean share of a text's words that are left out before a list is made of it, as a regularisation.
        lists: share of the texts that are lists.
        shares: of descriptions, structured descriptions, captions, texts and phrases among the texts.
        weights: weight of a word from each of them in the vocabulary's counts.
        pieces: number of tokens that are word pieces.
        rare: number of rare words, which are not tokens.
        config: shape of the network, in models/configs.
    """

    tokens: int = 2200
    longest: int = 320
    learning_rate: float = 3e-3
    warm_up: int = 60
    decay: float = 0.6
    average: float = 0.994
    strange: float = 0.1
    dropout: float = 0.2
    left_out: float = 0.4
    lists: float = 0.72
    shares: tuple[float, float, float, float, float] = (0.15, 0.13, 0.15, 0.22, 0.35)
    weights: tuple[float, float, float, float, float] = (20.0, 1.0, 0.4, 0.25, 1.0)
    pieces: int = 900
    rare: int = 30000
    config: str = "words"

    @property
    def mixture(self) -> Mixture:
        """The distribution of texts."""
        return Mixture(self.lists, self.shares, self.tokens, self.longest)


def next_word_loss(model: Llama, tokens: Tensor, strange: float = 0.0, dropout: float = 0.0) -> Tensor:
    """Mean cross-entropy of tokens (B, L), each given those before it, without the first of a row.

    Args:
        strange: share of input tokens that are replaced by random ones.
        dropout: share of the values of embeddings and of the last states that are set to zero.
    """
    read = tokens[:, :-1].clamp(min=0)
    if strange:
        others = torch.randint_like(read, len(SPECIAL), model.config.vocabulary)
        read = torch.where(
            (torch.rand(read.shape, device=read.device) < strange) & (read >= len(SPECIAL)), others, read
        )
    embedded = nn.functional.dropout(model.model.embed_tokens(read), dropout)
    states = nn.functional.dropout(model.model(embedded), dropout)
    there = tokens[:, 1:] != NOTHING
    logits = nn.functional.linear(states[there], model.lm_head.weight)
    return nn.functional.cross_entropy(logits.float(), tokens[:, 1:][there])


def first_embeddings(large: Path, tokens: Sequence[str], width: int) -> Tensor:
    """(tokens, width) principal components of lm-large's embeddings of the tokens, partly whitened (fourth root)."""
    model = load_model(large)
    known = model.transformer.embedding * model.transformer.head.scale[:, None]
    rows = np.zeros((len(tokens), known.shape[1]))
    for row, token in zip(rows, tokens, strict=True):
        if token[0] not in "<^":
            text = token[1:] if token[0] == MORE else " " + token if token[0] in LETTERS else token
            row[:] = known[model.vocabulary.encode(text)].mean(0)
    rows -= rows.mean(0)
    parts = rows @ np.linalg.eigh(rows.T @ rows)[1][:, ::-1][:, :width]
    parts /= np.sqrt(np.sqrt((parts**2).mean(0))) + 1e-6
    return torch.from_numpy(parts / np.sqrt((parts**2).mean()) * SPREAD).float()


class WordsTask:
    """The network's training task.

    Args:
        model: the network to train.
        tokens, rare: its vocabulary.
        texts: endless tokens, as from `batches`.
        counted: texts for counting ends.
        held_out: tokens of lists that are measured at every checkpoint, each with its style.
        recipe: of the training.
        accelerator: device and precision.
    """

    def __init__(
        self,
        model: Llama,
        tokens: Sequence[str],
        rare: Sequence[str],
        texts: Iterator[Tensor],
        counted: Sequence[str],
        held_out: Sequence[Tensor],
        recipe: Recipe,
        accelerator: Accelerator,
    ) -> None:
        self.tokens, self.rare, self.texts, self.counted, self.held_out = tokens, rare, texts, counted, held_out
        self.recipe, self.accelerator = recipe, accelerator
        self.model = model.train().to(accelerator.device)
        self.networks: dict[str, nn.Module] = {"words": self.model}
        self.optimizers = optimizers(self.model, recipe.learning_rate)

    def step(self, step: int, done: float) -> dict[str, float]:
        """One batch."""
        tokens = next(self.texts).to(self.accelerator.device)
        with self.accelerator.autocast():
            loss = next_word_loss(self.model, tokens, self.recipe.strange, self.recipe.dropout)
        descend(loss, self.model, self.optimizers, self.accelerator)
        return {"loss": loss.item()}

    def write(self, network: nn.Module, folder: Path) -> None:
        """Write the averaged model in integers, with its end probabilities; print the bits of held-out lists."""
        model: Any = copy.deepcopy(network).float().cpu().eval()
        if self.held_out:
            with torch.inference_mode():
                bits = sum(float(next_word_loss(model, row)) * (row.shape[1] - 1) for row in self.held_out) / LOG_2
            count = sum(row.shape[1] - 1 for row in self.held_out)
            print(f"held-out lists: {bits / count:.3f} bits a token", file=sys.stderr, flush=True)
        shares, tried = [128] * len(END_LEFT), folder / TRIED
        for _ in range(2):  # twice, because the cost of an end changes where texts end
            write_words(model, self.tokens, self.rare, shares, tried)
            shares = end_shares(Words("words", self.recipe.longest, ModelFile(tried)), self.counted)
        tried.unlink()
        write_words(model, self.tokens, self.rare, shares, folder / WEIGHTS)


def read_lines(path: Path | None) -> list[str]:
    """The non-empty lines of a file; none without a file."""
    return [line.strip() for line in path.read_text().splitlines() if line.strip()] if path else []


def main(
    data: Annotated[Path, typer.Option(help="folder with captioned shards and text/")],
    out: options.Out,
    texts: Annotated[Path | None, typer.Option(help="file of English texts, one short text a line")] = None,
    phrases: Annotated[Path | None, typer.Option(help="file of phrases that describe images, one a line")] = None,
    recipe_file: options.RecipeFile = None,
    minutes: options.Minutes = 1e9,
    steps: options.Steps = 1600,
    seed: options.Seed = 0,
    profile: options.ProfileName = "embedded",
) -> None:
    """Train the coder words."""
    recipe = options.read_recipe(Recipe, "words", recipe_file)
    chosen, accelerator = load_profile(profile), new_accelerator(seed)
    shards = [path for kind in ("captioned-train", "photos", "boxes") for path in sorted(data.glob(f"{kind}-*.tar"))]
    photos = list(captions(shards))
    descriptions = training_half(read_descriptions(data))
    structured = [describe_captions(each) for each in photos]
    more, short = read_lines(texts), read_lines(phrases)
    config = build(Config, recipe.config)
    everything = (
        descriptions,
        [f for d in structured for f in d.fields()],
        [c for p in photos for c in p],
        more,
        short,
    )
    path = out / VOCABULARY
    with accelerator.main_process_first():
        if not path.exists():
            out.mkdir(parents=True, exist_ok=True)
            chosen_words = choose_words(
                everything, recipe.weights, SPECIAL, config.vocabulary, recipe.pieces, recipe.rare
            )
            path.write_text(json.dumps(chosen_words))
    tokens, rare = json.loads(path.read_text())
    vocabulary = WordPieces(tokens, tokens.index(LINE), rare)
    model = Llama(config)
    if chosen.language_model.state() is State.HERE:
        with torch.no_grad():
            model.model.embed_tokens.weight.copy_(first_embeddings(chosen.language_model.path, tokens, config.width))
    vectors = TextVectors(Semantics(chosen, str(accelerator.device)).text_tower)
    every_text = [text for texts in everything for text in texts]
    vectors.add([*sentences_of(every_text), *distinct_words(every_text)], "embedding")
    importance = WordImportance(vectors)
    sources = sources_of(descriptions, structured, photos, more, short, importance, recipe.left_out)
    draw = random.Random(seed)
    counted = [draw_text(sources, recipe.mixture, draw)[1] for _ in range(COUNTED)]
    rest = sources_of(held_out_half(read_descriptions(data)), [], [], [], [], importance)["descriptions"]
    lists = [draw_list(rest, draw) for _ in range(HELD_OUT)]
    held_out = [torch.tensor([known_tokens(vocabulary, list_token(text, draw), text)]) for text in lists]
    feed = batches(sources, vocabulary, recipe.mixture, data_seed(out, seed, accelerator))
    task = WordsTask(model, tokens, rare, feed, counted, held_out, recipe, accelerator)
    settings = Settings(
        out, steps, minutes, recipe.warm_up, recipe.decay, fade="linear", average=recipe.average, seed=seed
    )
    print_result(run(task, settings, accelerator), accelerator)


if __name__ == "__main__":
    run_alone(main)
