"""Train the tagger's layer of subjects: checkpoints/embedded/subjects/subjects.safetensors, in 14 minutes on one core.

    python -m misc.train.subjects --data SHARD [--data SHARD ...] --out FILE [--seed N]

    photos ─► tagger's features (1280) ───────────────────────────┐
    labels, captions ─► subjects of each photo (subjects.toml) ───┴─► logistic regression ─► layer

First, a sixth of the photos is held out, and the average precision of each subject on them is printed. The layer that
is written is then trained on all photos.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import torch
import typer
from safetensors.numpy import save_file
from sklearn.metrics import average_precision_score
from torch import Tensor, nn
from torch.nn import functional

from ..cli.app import run_alone
from ..errors import InputError
from ..models.towers.subjects import FEATURES
from ..models.towers.tagger import load_tagger, read_names
from ..profiles import load_profile
from .data.images import named_photos
from .data.noun_phrases import lemma
from .options import Seed

__all__ = ["UNKNOWN", "Subject", "fit", "read_subjects", "targets_of", "write"]

UNKNOWN = float("nan")
MOST = 2  # number of captions, of five, that must have a word; with fewer captions, four tenths
DOUBTFUL = 0.3  # weight of a negative example of a place if the photo has only a label
DECAY = 0.03
RATE, EPOCHS, BATCH = 5e-4, 20, 256
SURE = 0.5  # threshold of `misc.models.describer.naming`
HELD_OUT = 6  # one photo of this many

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Subject:
    """The rules in `subjects.toml` for positive and negative examples of a subject."""

    name: str
    labels: frozenset[str]
    words: frozenset[str]
    sources: frozenset[str]
    place: bool


def read_subjects() -> list[Subject]:
    """All subjects of the table."""
    table = tomllib.loads((resources.files("misc.train") / "prepare" / "subjects.toml").read_text("utf-8"))
    sets = ("labels", "words", "sources")
    return [
        Subject(name, *(frozenset(row.get(key, ())) for key in sets), place=row.get("place", False))
        for name, row in table.items()
    ]


def targets_of(facts: Mapping[str, Any], subjects: Sequence[Subject]) -> tuple[list[float], list[float]]:
    """For every subject, whether a photo shows it (1, 0 or UNKNOWN), and the weight of that, 0 to 1.

    Args:
        facts: from a shard: captions, label or source.
    """
    targets, weights = [], []
    captions = [{lemma(word) for word in re.findall("[a-z]+", each.lower())} for each in facts.get("captions", ())]
    label = str(facts.get("label", ""))
    kinds = {name for chain in read_names() if chain[0] == lemma(label.lower()) for name in chain}
    for subject in subjects:
        target, weight = UNKNOWN, 1.0
        if captions:
            mentions = sum(bool(subject.words & words) for words in captions)
            if mentions >= max(MOST, 0.4 * len(captions)):
                target = 1.0
            elif not mentions:
                target = 0.0
        elif label:
            target = float(label in subject.labels or subject.name in kinds)
            weight = DOUBTFUL if subject.place and not target else 1.0
        elif facts.get("source") in subject.sources:
            target = 1.0
        targets.append(target)
        weights.append(weight)
    return targets, weights


def fit(features: Tensor, targets: Tensor, weights: Tensor, seed: int = 0) -> nn.Linear:
    """A layer from features to logits, by logistic regression with an L2 penalty.

    Args:
        features: (photos, F), of mean 0 and deviation 1.
        targets: (photos, subjects) 1, 0 or UNKNOWN.
        weights: (photos, subjects).
    """
    generator = torch.Generator().manual_seed(seed)
    layer = nn.Linear(features.shape[1], targets.shape[1])
    nn.init.zeros_(layer.weight)
    nn.init.constant_(layer.bias, -4.0)
    optimizer = torch.optim.Adam(layer.parameters(), RATE)
    known, wanted = weights * ~targets.isnan(), targets.nan_to_num()
    batches = -(-len(features) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS * batches)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(features), generator=generator).split(BATCH):
            losses = functional.binary_cross_entropy_with_logits(layer(features[rows]), wanted[rows], reduction="none")
            loss = (losses * known[rows]).sum(1).mean() + DECAY * layer.weight.square().sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return layer.requires_grad_(False)


def write(layer: nn.Linear, middle: Floats, spread: Floats, names: Sequence[str], path: Path) -> None:
    """Write the layer for unnormalised features.

    Args:
        layer: for features normalised by `middle` (F,) and `spread` (F,).
    """
    weight = layer.weight.numpy() / spread
    bias = layer.bias.numpy() - weight @ middle
    tensors = {"weight": weight.astype(np.float16), "bias": bias.astype(np.float32)}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, {"names": json.dumps(list(names))})


def look(shards: list[Path], subjects: Sequence[Subject]) -> tuple[Floats, Tensor, Tensor]:
    """Features (photos, 1280), targets and weights of the photos with annotations."""
    tagger = load_tagger(load_profile().packages["efficientnet"].sound_path())
    features, targets, weights = [], [], []
    for _, photo, facts in named_photos(shards):
        wanted, counts = targets_of(facts, subjects)
        if not all(np.isnan(wanted)):
            features.append(tagger.features(photo))
            targets.append(wanted)
            weights.append(counts)
    if not features:
        raise InputError("there is no photo with captions, label or a source of subjects.toml")
    return np.stack(features).reshape(-1, FEATURES), torch.tensor(targets), torch.tensor(weights)


def main(
    data: Annotated[
        list[Path], typer.Option(help="shards (.tar) of photos with captions or labels, or folders of them; repeatable")
    ],
    out: Annotated[Path, typer.Option(help="file for the layer")],
    seed: Seed = 0,
) -> None:
    """Train the layer of subjects."""
    subjects = read_subjects()
    features, targets, weights = look(data, subjects)
    middle, spread = features.mean(0), features.std(0) + 1e-3
    inputs = torch.from_numpy((features - middle) / spread)
    order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(seed))
    held, rest = order[: len(order) // HELD_OUT], order[len(order) // HELD_OUT :]
    probabilities = fit(inputs[rest], targets[rest], weights[rest], seed)(inputs[held]).sigmoid()
    for place, subject in enumerate(subjects):
        known = ~targets[held, place].isnan()
        truth, likely = targets[held, place][known].numpy() > 0, probabilities[known, place].numpy()
        sure = likely >= SURE
        precision = average_precision_score(truth, likely) if truth.any() else UNKNOWN
        counts = (
            f"{truth.sum():4} photos, {sure.sum():3} probabilities above {SURE}, {truth[sure].sum():3} of them right"
        )
        print(f"{subject.name:10} average precision {precision:.2f}, {counts}")
    write(fit(inputs, targets, weights, seed), middle, spread, [subject.name for subject in subjects], out)


if __name__ == "__main__":
    run_alone(main)
