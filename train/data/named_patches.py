"""Annotations of photos and their patches: captions of the photo, names of its objects, boxes of the names.

features ─► photos.jsonl ─┬─► captions ─► sentence vectors
                          ├─► captions, label, boxes ─► names that a photo shows or does not show
                          └─► boxes ─► patches that are inside, outside, or unknown
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from ...errors import InputError
from ...models.towers.detector import NAMES, PERSONS
from ...models.towers.text_features import TextTower
from ...models.towers.vision import GRID
from ..prepare.features import Features
from .answers import plain_label
from .noun_phrases import nouns

__all__ = ["BOXED", "LocatorBatch", "NamedPatches", "box_places", "boxed_names"]

POOLS = (2, 4)  # patches along a side that are averaged
PEOPLE = sorted(PERSONS - {"person"})
BOXED = [*NAMES, *PEOPLE]
SURE, MAYBE = 0.3, 0.2  # least score of a box that is used, and of one that makes its patches unknown
AT_ONCE = 256  # texts or photos in a batch


@dataclass(frozen=True)
class LocatorBatch:
    """B photos. The first L have all patch tokens, and K of these have boxes.

    Attributes:
        pooled: (B, h, w, 384) averaged patch tokens.
        captions: (B, 384) sentence vectors, one caption for each photo.
        local: (L, 16, 16, 384) patch tokens.
        names: (N, 384) sentence vectors of names.
        present: (L, N) 1 if a photo shows a name, 0 if not, NaN if unknown.
        boxed: (K,) which photos have boxes.
        inside: (K, len(BOXED), 256) 1 in a box of the name, 0 outside, NaN if unknown.
    """

    pooled: Tensor
    captions: Tensor
    local: Tensor
    names: Tensor
    present: Tensor
    boxed: Tensor
    inside: Tensor

    def to(self, device: torch.device) -> LocatorBatch:
        """The batch on a device."""
        return LocatorBatch(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


class NamedPatches:
    """Photos with their annotations.

    Args:
        features: patch tokens and facts.
        tower: gives sentence vectors.
    """

    def __init__(self, features: Features, tower: TextTower) -> None:
        self.tokens, self.facts = features.tokens, features.facts
        self.pooled = {
            side: torch.cat(
                [average_squares(self.tokens[i : i + AT_ONCE], side) for i in range(0, len(self.facts), AT_ONCE)]
            )
            for side in POOLS
        }
        self.shown = [things(each) for each in self.facts]
        self.boxes = [boxed_names(each) for each in self.facts]
        self.sentences = [
            each.get("captions") or [f"a photo of a {name}" for name in sorted(shown)]
            for each, shown in zip(self.facts, self.shown, strict=True)
        ]
        texts = {text for of in self.sentences for text in of} | {name for of in self.shown for name in of} | {*BOXED}
        self.vectors = embed_all(tower, texts)

    def embed(self, texts: Sequence[str]) -> Tensor:
        """Sentence vectors (n, 384) of captions or names of the photos."""
        return torch.stack([self.vectors[text] for text in texts])

    def batches(self, count: int, local: int, names: int, draw: random.Random) -> Iterator[LocatorBatch]:
        """Endless batches; photos are mirrored at random.

        Args:
            count: number of photos in a batch.
            local: number of photos with all patch tokens.
            names: number of names in a batch.
            draw: random number generator.

        Raises:
            InputError: there are fewer photos than a batch has.
        """
        if len(self.facts) < count:
            raise InputError(f"{len(self.facts)} photos are fewer than a batch of {count}")
        while True:
            yield self.batch(draw.sample(range(len(self.facts)), count), local, names, draw)

    def batch(self, numbers: Sequence[int], local: int, names: int, draw: random.Random) -> LocatorBatch:
        """The batch of photos by number."""
        near = numbers[:local]
        patches = self.pooled[draw.choice(POOLS)][list(numbers)].float()
        mirrored = torch.tensor([draw.random() < 0.5 for _ in numbers])[:, None, None, None]
        there = sorted(set().union(*(self.shown[i] for i in near)))
        asked = draw.sample(there, min(names, len(there)))
        boxed = [k for k, i in enumerate(near) if self.boxes[i]]
        return LocatorBatch(
            torch.where(mirrored, patches.flip(2), patches),
            self.embed([draw.choice(self.sentences[i]) for i in numbers]),
            torch.from_numpy(np.stack([self.tokens[i] for i in near])).float(),
            self.embed(asked),
            torch.tensor([[presence(self.facts[i], self.shown[i], name) for name in asked] for i in near]),
            torch.tensor(boxed, dtype=torch.long),
            box_places([self.boxes[near[k]] for k in boxed], BOXED),
        )


def boxed_names(facts: dict[str, Any]) -> dict[str, Tensor]:
    """For names with boxes (256,) float: 1 inside a box of the name, NaN if unknown, else 0.

    Other words for persons in captions use the boxes of persons.
    """
    middles = (torch.arange(GRID) + 0.5) / GRID
    boxes_by_name: dict[str, Tensor] = {}
    boxes = [box for box in facts.get("found", []) if box["score"] >= MAYBE]
    for box in sorted(boxes, key=lambda box: box["score"]):
        patches = boxes_by_name.setdefault(box["name"], torch.zeros(GRID, GRID))
        left, top, right, bottom = box["box"]
        column, row = (min(GRID - 1, int(GRID * (a + b) / 2)) for a, b in ((left, right), (top, bottom)))
        within = ((middles >= top) & (middles < bottom))[:, None] & (middles >= left) & (middles < right)
        within[row, column] = True
        patches[within] = 1.0 if box["score"] >= SURE else torch.nan
    if "person" in boxes_by_name:
        for noun in {noun for caption in facts.get("captions", []) for noun in nouns(caption)} & set(PEOPLE):
            boxes_by_name[noun] = boxes_by_name["person"]
    return {name: patches.flatten() for name, patches in boxes_by_name.items()}


def box_places(photos: Sequence[dict[str, Tensor]], names: Sequence[str]) -> Tensor:
    """(B, N, 256) of photos' `boxed_names`: a COCO name without a box is 0 everywhere, another name is unknown."""
    inside = torch.zeros(len(photos), len(names), GRID * GRID)
    for n, name in enumerate(names):
        for b, boxes_by_name in enumerate(photos):
            if name in boxes_by_name:
                inside[b, n] = boxes_by_name[name]
            elif name not in NAMES:
                inside[b, n] = torch.nan
    return inside


def embed_all(tower: TextTower, texts: set[str]) -> dict[str, Tensor]:
    """Sentence vector (384,) of every text."""
    order = sorted(texts, key=lambda text: (len(text), text))
    parts = [tower.embed(order[i : i + AT_ONCE]).cpu() for i in range(0, len(order), AT_ONCE)]
    return dict(zip(order, torch.cat(parts), strict=True))


def average_squares(tokens: npt.NDArray[np.float16], side: int) -> Tensor:
    """(N, 16 / side, 16 / side, 384) half, means of tokens (N, 16, 16, 384) over squares."""
    channels_first = torch.from_numpy(np.array(tokens)).float().permute(0, 3, 1, 2)
    return functional.avg_pool2d(channels_first, side).permute(0, 2, 3, 1).half()


def things(facts: dict[str, Any]) -> set[str]:
    """Names of a photo's objects, from its captions or its label, and its boxes."""
    boxed = {box["name"] for box in facts.get("found", []) if box["score"] >= SURE}
    if facts.get("captions"):
        return boxed.union(*(nouns(caption) for caption in facts["captions"]))
    return boxed | {plain_label(facts)}


def presence(facts: dict[str, Any], shown: set[str], name: str) -> float:
    """1 or 0; NaN if there is only a label and it does not decide."""
    if name in shown:
        return 1.0
    return 0.0 if facts.get("captions") else float("nan")
