"""Targets of the describer: token rows of answers about photos, and of two tasks with text only.

captions of a photo ─┬─► overall sentence, names and details, a line each  answer 1 ┐ a row: each answer attends to
                     └─► further captions, a line each                     answer 2 ┘ the photo and itself only
captions ────────────┬─► "words: ct n bnch" ─► the words
                     └─► "differences: one / another" ─► nouns that the other lacks
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from ...bits.text.consonants import skeletons
from ...errors import InputError
from ...models.describer.embedded import DIFFERENCES, WORDS
from ...models.language_model.floats import TERMINATOR
from ..prepare.features import Features
from .noun_phrases import describe_captions, difference, tidy

__all__ = ["IGNORE", "AnswerBatch", "Answers", "answer_batches", "pack_answers", "plain_label"]

CAPTIONS_A_PHOTO = 2
PADDING = 0  # any token: no position attends to it
IGNORE = -100  # target of a token without a loss

Answer = tuple[list[int], int]  # tokens, and how many of them are the prompt


class Answers:
    """Token rows of the tasks.

    Args:
        tokenizer: the language model's.
        facts: captions or label of every photo.
        draw: chooses captions and tasks.
    """

    def __init__(self, tokenizer: Tokenizer, facts: Sequence[dict[str, Any]], draw: random.Random) -> None:
        self.tokenizer, self.facts, self.draw = tokenizer, facts, draw
        self.line_break, self.terminator = tokenizer.token_to_id("Ċ"), tokenizer.token_to_id(TERMINATOR)
        self.captioned = [i for i, each in enumerate(facts) if each.get("captions")]
        self.labelled = [i for i, each in enumerate(facts) if not each.get("captions")]
        self.bags = self.words_of_photos()
        self.items = {i: describe_captions(facts[i]["captions"]).fields()[1:] for i in self.captioned}

    def encode(self, text: str) -> list[int]:
        """Tokens of a text."""
        return list(self.tokenizer.encode(text).ids)

    def words_of_photos(self) -> list[Tensor]:
        """Tokens of each photo's captions or label, (n, 2): number and share; rare tokens have more weight."""
        texts = [each.get("captions") or [plain_label(each)] for each in self.facts]
        counts = [Counter(token for text in of for token in self.encode(" " + tidy(text).lower())) for of in texts]
        photos_with = Counter(token for count in counts for token in count)
        bags = []
        for count in counts:
            shares = {t: n * math.log(len(counts) / photos_with[t]) ** 2 for t, n in count.items()}
            total = sum(shares.values()) or 1.0
            bags.append(torch.tensor([[token, share / total] for token, share in shares.items()]))
        return bags

    def photo(self, i: int) -> list[Answer]:
        """Answers about a photo."""
        facts = self.facts[i]
        if not facts.get("captions"):
            return [([self.terminator, self.line_break, *self.encode(f"{plain_label(facts)}\n"), self.terminator], 2)]
        first, *others = self.draw.sample(facts["captions"], min(CAPTIONS_A_PHOTO, len(facts["captions"])))
        structured = self.encode("\n".join([tidy(first), *self.items[i]]))
        short = [([self.terminator, *self.encode(tidy(text)), self.line_break], 1) for text in others]
        return [([self.terminator, *structured, self.terminator], 1), *short]

    def text(self) -> list[Answer]:
        """One text task."""
        captions = self.facts[self.draw.choice(self.captioned)]["captions"]
        wanted = tidy(self.draw.choice(captions))
        if self.draw.random() < 0.5:
            question, answer = f"{WORDS}{skeletons(wanted)}\n", wanted.lower()
        else:
            other = captions if self.draw.random() < 0.5 else self.facts[self.draw.choice(self.captioned)]["captions"]
            drawn = tidy(self.draw.choice(other))
            question, answer = f"{DIFFERENCES}{wanted}\n{drawn}\n", difference(wanted, drawn)
        asked = [self.terminator, *self.encode(question)]
        return [([*asked, *self.encode(answer), self.terminator], len(asked))]


def plain_label(facts: dict[str, Any]) -> str:
    """A photo's label as a name."""
    return str(facts["label"]).replace("_", " ").split(",")[0].lower()


def pack_answers(rows: Sequence[Sequence[Answer]], visual: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Rows of answers as tensors; every answer follows the visual tokens as if it were the only one.

    Args:
        rows: B rows.
        visual: V, number of visual tokens before the text.

    Returns:
        tokens (B, L), targets (B, L), positions (B, V + L), and visibility (B, 1, V + L, V + L).
    """
    length = max(sum(len(answer) for answer, _ in row) for row in rows)
    tokens = torch.full((len(rows), length), PADDING)
    targets = torch.full((len(rows), length), IGNORE)
    positions = torch.arange(visual).repeat(len(rows), 1)
    positions = torch.cat([positions, torch.zeros(len(rows), length, dtype=torch.long)], 1)
    part = torch.full((len(rows), length), -1)
    for b, row in enumerate(rows):
        start = 0
        for number, (answer, given) in enumerate(row):
            end = start + len(answer)
            tokens[b, start:end] = torch.tensor(answer)
            targets[b, start + given - 1 : end - 1] = torch.tensor(answer[given:])
            positions[b, visual + start : visual + end] = visual + torch.arange(len(answer))
            part[b, start:end] = number
            start = end
    causal = torch.ones(visual + length, visual + length, dtype=torch.bool).tril()
    same = torch.ones(len(rows), visual + length, visual + length, dtype=torch.bool)
    same[:, visual:, visual:] = part[:, :, None] == part[:, None, :]
    return tokens, targets, positions, (same & causal)[:, None]


@dataclass(frozen=True)
class AnswerBatch:
    """A batch of photos, or of text tasks.

    Attributes:
        patches: (B, 16, 16, 384) patch tokens of photos, or None.
        rows: B rows of answers.
        bags: of each photo its words, (n, 2) number and share.
    """

    patches: Tensor | None
    rows: list[list[Answer]]
    bags: list[Tensor]


def answer_batches(
    features: Features, answers: Answers, batch: int, *, label_share: float, text_every: int
) -> Iterator[AnswerBatch]:
    """Endless batches; photos are mirrored at random.

    Args:
        features: patch tokens of the photos.
        answers: makes the rows.
        batch: number of photos; a batch of text tasks has twice as many rows.
        label_share: share of photos with a label and no caption.
        text_every: number of photo batches before each batch of text tasks.

    Raises:
        InputError: there are fewer photos with captions than a batch has.
    """
    if len(answers.captioned) < batch:
        raise InputError(f"{len(answers.captioned)} photos with captions are fewer than a batch of {batch}")
    draw, count = answers.draw, 0
    few = int(batch * label_share) if answers.labelled else 0
    while True:
        order = draw.sample(answers.captioned, len(answers.captioned))
        for start in range(0, len(order) - batch + 1, batch):
            count += 1
            if count % text_every == 0:
                yield AnswerBatch(None, [answers.text() for _ in range(2 * batch)], [])
            numbers = order[start : start + batch][few:] + draw.choices(answers.labelled or [0], k=few)
            patches = torch.from_numpy(np.stack([features.tokens[i] for i in numbers])).float()
            mirrored = torch.tensor([draw.random() < 0.5 for _ in numbers])
            patches = torch.where(mirrored[:, None, None, None], patches.flip(2), patches)
            yield AnswerBatch(patches, [answers.photo(i) for i in numbers], [answers.bags[i] for i in numbers])
