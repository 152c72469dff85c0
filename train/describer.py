"""Train the embedded describer.

    python -m misc.train.describer --features FOLDER --language-model STATE.pt --out FOLDER --minutes 30

FOLDER of features comes from `misc.train.prepare.features`, STATE.pt from `misc.train.language_model`: its language
model is where training starts. One row of a batch is one photo: its 64 visual tokens, then several answers, each of
which sees the photo and itself alone (the whole with items and details by `misc.train.data.noun_phrases`, and a further
caption). Besides, and for the first `--ground-minutes` alone, visual tokens are drawn to the embeddings of the
captions' words. Some batches hold the two text tasks. OUT receives `describer.safetensors`; resumes from OUT/state.pt;
`--start` takes committed weights. Prints its result as JSON.
"""

from __future__ import annotations

import json
import math
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from ..bits.text.consonants import skeletons
from ..models.describer.embedded import DIFFERENCES, WORDS, Describer, load_describer
from .data.noun_phrases import NO_THINGS, describe_captions, phrases
from .language_model import VOCABULARY, optimizers
from .prepare.features import Features, load_features
from .state import restore, save

__all__ = ["difference", "pack_answers", "tidy", "train"]

TERMINATOR = VOCABULARY - 1
CAPTIONS_A_PHOTO = 2
IGNORE = -100
TEXT_EVERY = 8
WORD_WEIGHT = 0.2
LABEL_SHARE = 0.15


def difference(wanted: str, drawn: str) -> str:
    """Noun phrases of a caption whose noun another caption does not name; "none" when there is none."""
    there = {phrase.lemma for phrase in phrases(drawn)} | NO_THINGS
    missing = [" ".join([*phrase.adjectives, phrase.noun]) for phrase in phrases(wanted) if phrase.lemma not in there]
    return ", ".join(dict.fromkeys(missing)) or "none"


class Answers:
    """Token rows of the tasks."""

    def __init__(self, tokenizer: Tokenizer, facts: Sequence[dict[str, Any]], draw: random.Random) -> None:
        self.tokenizer, self.facts, self.draw = tokenizer, facts, draw
        self.line_break = tokenizer.token_to_id("Ċ")
        self.captioned = [i for i, known in enumerate(facts) if known.get("captions")]
        self.labelled = [i for i, known in enumerate(facts) if not known.get("captions")]
        self.bags = self.words_of_photos()
        self.items = {i: describe_captions(facts[i]["captions"]).fields()[1:] for i in self.captioned}

    def encode(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text).ids)

    def words_of_photos(self) -> list[Tensor]:
        """For every photo the tokens of its captions or label, (n, 2): number and share, rare tokens counting more."""
        texts = [known.get("captions") or [plain_label(known)] for known in self.facts]
        counts = [Counter(token for text in of for token in self.encode(" " + tidy(text).lower())) for of in texts]
        photos_with = Counter(token for count in counts for token in count)
        bags = []
        for count in counts:
            shares = {t: n * math.log(len(counts) / photos_with[t]) ** 2 for t, n in count.items()}
            total = sum(shares.values()) or 1.0
            bags.append(torch.tensor([[token, share / total] for token, share in shares.items()]))
        return bags

    def photo(self, i: int) -> list[tuple[list[int], int]]:
        """Answers about a photo, each with the number of its tokens that are given, not learned."""
        known = self.facts[i]
        if not known.get("captions"):
            return [([TERMINATOR, self.line_break, *self.encode(f"{plain_label(known)}\n"), TERMINATOR], 2)]
        first, *others = self.draw.sample(known["captions"], min(CAPTIONS_A_PHOTO, len(known["captions"])))
        structured = self.encode("\n".join([tidy(first), *self.items[i]]))
        short = [([TERMINATOR, *self.encode(tidy(text)), self.line_break], 1) for text in others]
        return [([TERMINATOR, *structured, TERMINATOR], 1), *short]

    def text(self) -> list[tuple[list[int], int]]:
        """One text task."""
        known = self.facts[self.draw.choice(self.captioned)]["captions"]
        wanted = tidy(self.draw.choice(known))
        if self.draw.random() < 0.5:
            question, answer = f"{WORDS}{skeletons(wanted)}\n", wanted.lower()
        else:
            other = known if self.draw.random() < 0.5 else self.facts[self.draw.choice(self.captioned)]["captions"]
            drawn = tidy(self.draw.choice(other))
            question, answer = f"{DIFFERENCES}{wanted}\n{drawn}\n", difference(wanted, drawn)
        asked = [TERMINATOR, *self.encode(question)]
        return [([*asked, *self.encode(answer), TERMINATOR], len(asked))]


def plain_label(facts: dict[str, Any]) -> str:
    """A photo's label as a name."""
    return str(facts["label"]).replace("_", " ").split(",")[0].lower()


def word_loss(model: Describer, seen: Tensor, bags: Sequence[Tensor]) -> Tensor:
    """Cross-entropy of the captions' words under the mean of what the visual tokens (B, 64, width) each stand for."""
    words = functional.normalize(model.language.model.embed_tokens.weight.detach(), dim=1)
    spoken = functional.layer_norm(seen, seen.shape[-1:]) @ words.T
    mixture = spoken.float().softmax(-1).mean(1)
    losses = [
        -(bag[:, 1].to(row.device) * row[bag[:, 0].long()].clamp_min(1e-9).log()).sum()
        for row, bag in zip(mixture, bags, strict=True)
    ]
    return torch.stack(losses).mean()


def tidy(caption: str) -> str:
    """A caption without space around its punctuation and without its last stop."""
    return " ".join(caption.split()).replace(" 's", "'s").replace(" ,", ",").rstrip(" .,")


def pack_answers(rows: list[list[tuple[list[int], int]]], seen: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Tokens (B, L), targets (B, L), positions (B, seen + L) and visibility (B, 1, seen + L, seen + L) of answers.

    Every answer stands behind the `seen` visual tokens as if it were alone.
    """
    length = max(sum(len(answer) for answer, _ in row) for row in rows)
    tokens = torch.full((len(rows), length), TERMINATOR)
    targets = torch.full((len(rows), length), IGNORE)
    positions = torch.arange(seen).repeat(len(rows), 1)
    positions = torch.cat([positions, torch.zeros(len(rows), length, dtype=torch.long)], 1)
    part = torch.full((len(rows), length), -1)
    for b, row in enumerate(rows):
        start = 0
        for number, (answer, given) in enumerate(row):
            end = start + len(answer)
            tokens[b, start:end] = torch.tensor(answer)
            targets[b, start + given - 1 : end - 1] = torch.tensor(answer[given:])
            positions[b, seen + start : seen + end] = seen + torch.arange(len(answer))
            part[b, start:end] = number
            start = end
    causal = torch.ones(seen + length, seen + length, dtype=torch.bool).tril()
    same = torch.ones(len(rows), seen + length, seen + length, dtype=torch.bool)
    same[:, seen:, seen:] = part[:, :, None] == part[:, None, :]
    return tokens, targets, positions, (same & causal)[:, None]


def photo_batches(
    features: Features, answers: Answers, batch: int
) -> Iterator[tuple[Tensor | None, list[Any], list[Tensor]]]:
    """Patch tokens (B, 16, 16, 384), mirrored at random, answers and words; None where the batch is of text tasks."""
    draw, step = answers.draw, 0
    while True:
        order = draw.sample(answers.captioned, len(answers.captioned))
        for start in range(0, len(order) - batch + 1, batch):
            step += 1
            if step % TEXT_EVERY == 0:
                yield None, [answers.text() for _ in range(2 * batch)], []
            chosen = order[start : start + batch]
            if answers.labelled:
                few = int(batch * LABEL_SHARE)
                chosen = chosen[few:] + draw.sample(answers.labelled, few)
            patches = torch.from_numpy(np.stack([features.tokens[i] for i in chosen])).float()
            mirrored = torch.tensor([draw.random() < 0.5 for _ in chosen])
            patches = torch.where(mirrored[:, None, None, None], patches.flip(2), patches)
            yield patches, [answers.photo(i) for i in chosen], [answers.bags[i] for i in chosen]


def loss_of(
    model: Describer, patches: Tensor | None, rows: list[Any], device: str, bags: Sequence[Tensor] = ()
) -> Tensor:
    """Mean cross-entropy of the answers' learned tokens, with labels smoothed; with bags, that of their words too."""
    tokens, targets, positions, visible = pack_answers(rows, 0 if patches is None else 64)
    tokens, targets, positions, visible = (x.to(device) for x in (tokens, targets, positions, visible))
    with torch.autocast(device, torch.bfloat16):
        embedded = model.embed(tokens)
        if patches is not None:
            seen = functional.dropout(
                model.look(functional.dropout(patches.to(device), 0.1, model.training)), 0.1, model.training
            )
            embedded = torch.cat([seen.to(embedded.dtype), embedded], 1)
        embedded = functional.dropout(embedded, 0.1, model.training)
        hidden = model.language.model(
            inputs_embeds=embedded, attention_mask=visible, position_ids=positions, use_cache=False
        ).last_hidden_state[:, -tokens.shape[1] :]
        chosen = targets != IGNORE
        logits = model.language.lm_head(hidden[chosen])
        words = WORD_WEIGHT * word_loss(model, seen, bags) if bags and patches is not None else 0.0
    return functional.cross_entropy(logits.float(), targets[chosen], label_smoothing=0.05) + words


def train(
    features: Annotated[Path, typer.Option(help="folder by misc.train.prepare.features")],
    language_model: Annotated[Path, typer.Option(help="state.pt by misc.train.language_model")],
    out: Annotated[Path, typer.Option(help="folder for state and weights")],
    start: Annotated[Path | None, typer.Option(help="describer.safetensors to start from")] = None,
    minutes: float = 30,
    ground_minutes: Annotated[float, typer.Option(help="at first, for the projector alone")] = 3,
    batch: int = 24,
    lr: float = 1.5e-3,
    steps: int = 1_000_000,
    seed: int = 0,
) -> None:
    """Train the embedded describer."""
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    source = torch.load(language_model, weights_only=True)
    found = load_features(features)
    model = load_describer(start).requires_grad_(True) if start else Describer()
    if not start:
        model.language.load_state_dict(source["average"])
    model = model.to(device).train()
    average = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.997))
    both = optimizers(model, lr)
    path = out / "state.pt"
    step, seconds = restore(path, model, average, both)
    answers = Answers(Tokenizer.from_str(source["tokenizer"]), found.facts, random.Random(seed + step))
    batches = photo_batches(found, answers, batch)
    began, saved_at, mean = time.time() - seconds, time.time(), 0.0

    def checkpoint() -> None:
        save(path, model, average, both, step, time.time() - began)
        weights = {name: value.bfloat16().contiguous() for name, value in average.module.state_dict().items()}
        weights.pop("language.lm_head.weight", None)  # tied to the embedding
        save_file(weights, out / "describer.safetensors")

    while step < steps and time.time() - began < 60 * minutes:
        done = max(step / steps, (time.time() - began) / (60 * minutes))
        rate = lr * min(1.0, (step + 1) / 50) * max(0.01, min(1.0, (1 - done) / 0.7))
        for optimizer in both:
            for group in optimizer.param_groups:
                group["lr"] = rate
        patches, rows, bags = next(batches)
        if time.time() - began < 60 * ground_minutes and patches is not None:
            with torch.autocast(device, torch.bfloat16):
                loss = word_loss(model, model.look(patches.to(device)), bags)
        else:
            loss = loss_of(model, patches, rows, device, bags)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in both:
            optimizer.step()
            optimizer.zero_grad()
        average.update_parameters(model)
        step += 1
        if patches is not None:
            mean = loss.item() if mean == 0 else 0.98 * mean + 0.02 * loss.item()
        if step % 50 == 0:
            speed = (time.time() - began) / step
            print(
                f"step {step}  loss {mean:.3f}  text {loss.item():.3f}  {speed:.2f} s/step", file=sys.stderr, flush=True
            )
        if time.time() - saved_at > 300:
            checkpoint()
            saved_at = time.time()
    checkpoint()
    print(json.dumps({"steps": step, "seconds": round(time.time() - began), "loss": mean}))


if __name__ == "__main__":
    typer.run(train)
