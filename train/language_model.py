"""Train lm-small, the text stream's own language model.

python -m misc.train.language_model --data FOLDER --out FOLDER [--extra FILE.txt] [--minutes N]

captions ─────────────┐
LMM descriptions ─────┤
structured ones ──────┼─► tokens ─► sequences of one style each, as the coder reads them after its prefix ─► Llama
any English text ─────┘

FOLDER of data holds `captioned-train-*.tar` and `text/lmm_descriptions.jsonl`; training reads only the
`training_half` (`misc.train.data.texts`) of the latter. The run continues from OUT/state.pt if that exists.
Otherwise it starts from the committed weights, from --start, or --from-scratch with a new vocabulary. The moving
average is written to OUT/language_model.safetensors as the exact integers that `misc.bits.text.language_model`
runs. New weights need a new coder number.
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

import torch
import typer
from accelerate import Accelerator
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch import Tensor, nn

from ..bits.arithmetic.transformer import Config
from ..cli.app import run_alone
from ..configs import build
from ..errors import InputError
from ..models.language_model import integers as exact
from ..models.language_model.floats import TERMINATOR, load_floats, split_words
from ..models.language_model.llama import Llama
from ..models.language_model.prefixes import SMALL_PREFIXES
from ..profiles import load_profile
from . import options
from .data.noun_phrases import describe_captions
from .data.texts import captions, held_out_half, read_descriptions, training_half
from .loop import Settings, data_seed, descend, new_accelerator, print_result, run

__all__ = ["LanguageModelTask", "Recipe", "make_tokenizer", "optimizers", "sequences"]

WEIGHTS, TOKENIZER = "language_model.safetensors", "tokenizer.json"
STYLES = ("captions", "descriptions", "structured", "extra")
LOG_2 = math.log(2)

Documents = dict[str, list[list[int]]]


@dataclass(frozen=True)
class Recipe:
    """How the language model is trained.

    Attributes:
        batch: number of sequences per step.
        length: number of tokens of a sequence.
        learning_rate: highest learning rate.
        warm_up: number of steps over which it rises.
        decay: last part of the run over which it falls, linearly.
        average: share of the old average of the weights that a step keeps.
        shares: of captions, descriptions, structured descriptions and extra texts among the sequences.
        config: shape of a new network, in models/configs; initial weights have their own.
    """

    batch: int = 8
    length: int = 256
    learning_rate: float = 1e-3
    warm_up: int = 100
    decay: float = 0.6
    average: float = 0.995
    shares: tuple[float, float, float, float] = (0.3, 0.15, 0.2, 0.35)
    config: str = "lm-small"


def make_tokenizer(texts: Sequence[str], size: int) -> Tokenizer:
    """Byte pairs of texts over all 256 bytes, with the terminator as the last token.

    Args:
        texts: from which the pairs are learned.
        size: number of tokens.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = split_words()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=size - 1, initial_alphabet=alphabet, show_progress=False)
    )
    tokenizer.add_tokens([TERMINATOR])
    return tokenizer


def corpus(data: Path, extra: Path | None) -> dict[str, list[str]]:
    """Texts by style."""
    photos = list(captions(sorted(data.glob("captioned-train-*.tar"))))
    return {
        "captions": [caption for sentences in photos for caption in sentences],
        "descriptions": training_half(read_descriptions(data)),
        "structured": ["\n".join(describe_captions(sentences).fields()).rstrip("\n") for sentences in photos],
        "extra": extra.read_text().splitlines() if extra else [],
    }


def sequences(documents: Documents, terminator: int, recipe: Recipe, seed: int) -> Iterator[Tensor]:
    """Endless (batch, length + 1) tokens; a row holds texts of one style, separated by the terminator.

    Args:
        documents: tokens of texts, by style; styles without texts are left out.
        terminator: token between texts.
        recipe: sizes, and shares of the styles.
        seed: of the random choices.
    """
    draw = random.Random(seed)
    shares = {style: share for style, share in zip(STYLES, recipe.shares, strict=True) if documents[style]}
    while True:
        rows = []
        for _ in range(recipe.batch):
            style = draw.choices(list(shares), list(shares.values()))[0]
            row = [terminator]
            while len(row) <= recipe.length:
                row += [*draw.choice(documents[style]), terminator]
            rows.append(row[: recipe.length + 1])
        yield torch.tensor(rows)


def next_token_loss(model: Llama, tokens: Tensor) -> Tensor:
    """Mean cross-entropy of tokens (B, L + 1), each given those before it."""
    logits = model(tokens[:, :-1])
    return nn.functional.cross_entropy(logits.flatten(0, 1).float(), tokens[:, 1:].flatten())


@torch.inference_mode()
def bits_a_text(model: Llama, documents: Sequence[list[int]], terminator: int) -> float:
    """Mean bits of a text with the terminator after it, without the one before it."""
    bits = 0.0
    model.eval()
    for document in documents:
        tokens = torch.tensor([[terminator, *document, terminator]])
        logits = model(tokens[:, :-1])[0].float()
        bits -= float(logits.log_softmax(-1).gather(1, tokens[0, 1:, None]).sum()) / LOG_2
    model.train()
    return bits / len(documents)


def optimizers(model: nn.Module, learning_rate: float) -> list[torch.optim.Optimizer]:
    """Muon (Jordan 2024) for the matrices of the layers, AdamW for embedding and gains."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    return [
        torch.optim.Muon(matrices, lr=learning_rate, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def facts(tokenizer: Tokenizer) -> dict[str, Any]:
    """Vocabulary for the exact model."""
    tokens = [tokenizer.id_to_token(i) for i in range(tokenizer.get_vocab_size())]
    merges = [" ".join(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"]]
    return {"tokens": tokens, "merges": merges, "special": []}


def export(model: Llama, tokenizer: Tokenizer, target: Path) -> None:
    """The integers of the model with its prefixes' caches."""
    config, arrays = exact.from_floats(model)
    exact.write(exact.add_prefixes(config, arrays, facts(tokenizer), SMALL_PREFIXES), target)


class LanguageModelTask:
    """The language model's training task.

    Args:
        model: the network to train.
        tokenizer: its vocabulary.
        batches: endless tokens (batch, length + 1).
        held_out: texts that are measured at every checkpoint.
        recipe: of the training.
        accelerator: device and precision.
    """

    def __init__(
        self,
        model: Llama,
        tokenizer: Tokenizer,
        batches: Iterator[Tensor],
        held_out: Sequence[str],
        recipe: Recipe,
        accelerator: Accelerator,
    ) -> None:
        self.tokenizer, self.batches, self.held_out, self.accelerator = tokenizer, batches, held_out, accelerator
        self.model = model.train().to(accelerator.device)
        self.networks: dict[str, nn.Module] = {"language_model": self.model}
        self.optimizers = optimizers(self.model, recipe.learning_rate)

    def step(self, step: int, done: float) -> dict[str, float]:
        """One batch."""
        tokens = next(self.batches).to(self.accelerator.device)
        with self.accelerator.autocast():
            loss = next_token_loss(self.model, tokens)
        descend(loss, self.model, self.optimizers, self.accelerator)
        return {"loss": loss.item()}

    def write(self, network: nn.Module, folder: Path) -> None:
        """Write the averaged model in integers; print the bits of held-out texts on standard error."""
        model: Any = copy.deepcopy(network).float().cpu()
        if self.held_out:
            documents = [encoding.ids for encoding in self.tokenizer.encode_batch(list(self.held_out))]
            bits = (
                bits_a_text(model, documents, self.tokenizer.token_to_id(TERMINATOR))
                * len(documents)
                / sum(map(len, self.held_out))
            )
            print(f"held-out descriptions: {bits:.3f} bits per character", file=sys.stderr, flush=True)
        export(model, self.tokenizer, folder / WEIGHTS)


def starting_point(
    weights: Path | None, config: str, out: Path, texts: dict[str, list[str]], accelerator: Accelerator
) -> tuple[Llama, Tokenizer]:
    """The model of a file, or a new one with a vocabulary made from the texts, which is kept in OUT.

    Args:
        weights: the file, or None.
        config: shape of a new one.
        out: folder of the run.
        texts: by style.
        accelerator: its first process makes the vocabulary.

    Raises:
        InputError: the shape cannot be read, or the texts are too few for its vocabulary.
    """
    if weights:
        return load_floats(weights)
    path, shape = out / TOKENIZER, build(Config, config)
    with accelerator.main_process_first():
        if not path.exists():
            out.mkdir(parents=True, exist_ok=True)
            make_tokenizer([text for style in texts.values() for text in style], shape.vocabulary).save(str(path))
    tokenizer = Tokenizer.from_file(str(path))
    if tokenizer.get_vocab_size() != shape.vocabulary:
        raise InputError(f"the texts give {tokenizer.get_vocab_size()} tokens, the config asks for {shape.vocabulary}")
    return Llama(shape), tokenizer


def main(
    data: Annotated[Path, typer.Option(help="folder with captioned-train shards and text/")],
    out: options.Out,
    extra: Annotated[Path | None, typer.Option(help="file of more English text, one short text a line")] = None,
    start: options.Start = None,
    from_scratch: options.FromScratch = False,
    recipe_file: options.RecipeFile = None,
    minutes: options.Minutes = 20,
    steps: options.Steps = 1_000_000,
    seed: options.Seed = 0,
    profile: options.ProfileName = "embedded",
) -> None:
    """Train lm-small."""
    recipe = options.read_recipe(Recipe, "language_model", recipe_file, from_scratch=from_scratch)
    committed = load_profile(profile).small_language_model.path
    weights = options.choose_start(start, committed, from_scratch=from_scratch)
    accelerator = new_accelerator(seed)
    texts = corpus(data, extra)
    model, tokenizer = starting_point(weights, recipe.config, out, texts, accelerator)
    documents = {style: [encoding.ids for encoding in tokenizer.encode_batch(lines)] for style, lines in texts.items()}
    print({style: sum(map(len, tokens)) for style, tokens in documents.items()}, "tokens", file=sys.stderr)
    batches = sequences(documents, tokenizer.token_to_id(TERMINATOR), recipe, data_seed(out, seed, accelerator))
    held_out = held_out_half(read_descriptions(data))[::10]
    task = LanguageModelTask(model, tokenizer, batches, held_out, recipe, accelerator)
    settings = Settings(
        out, steps, minutes, recipe.warm_up, recipe.decay, fade="linear", average=recipe.average, seed=seed
    )
    print_result(run(task, settings, accelerator), accelerator)


if __name__ == "__main__":
    run_alone(main)
