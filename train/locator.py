"""Train the embedded CLIP, with which the locator finds items.

    python -m misc.train.locator --features FOLDER --boxes detections.jsonl --out FOLDER --minutes 10

FOLDER of features comes from `misc.train.prepare.features`, the boxes from `misc.train.prepare.detections`. Three
losses: contrast of captions with photos, whose patches are averaged over 2x2 or 4x4 to make a step cheap (CLIP, arXiv
2103.00020); for names of things a sigmoid loss on the patches that match best (multiple-instance learning); and where
boxes are known, for their names on every patch. OUT receives `clip.safetensors`; resumes from OUT/state.pt; `--start`
takes committed weights. Prints its result as JSON.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import torch
import typer
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from ..models.clip.embedded import ClipHeads, load_clip_heads
from ..models.towers.detector import NAMES, PERSONS
from ..models.towers.text_features import TextTower, load_text_tower
from ..profiles import load_profile
from .data.noun_phrases import nouns
from .prepare.features import GRID, load_features
from .state import restore, save

__all__ = ["box_loss", "contrast", "name_loss", "train"]

POOLS = (2, 4)  # patches along a side that are averaged
TOP = 12  # patches of 256 that speak for a name
PEOPLE = sorted(PERSONS - {"person"})
BOXED = [*NAMES, *PEOPLE]
SURE, MAYBE = 0.3, 0.2  # scores of a box that is believed, and of one that may be right


def contrast(image: Tensor, text: Tensor, scale: Tensor) -> Tensor:
    """InfoNCE of matching rows of (B, 256) embeddings, both ways."""
    logits = scale.exp().clamp(max=100) * image @ text.T
    target = torch.arange(len(logits), device=logits.device)
    return (functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)) / 2


def name_loss(dense: Tensor, names: Tensor, present: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Sigmoid loss of whether a photo shows a name.

    Args:
        dense: (B, P, 256). names: (N, 256). present: (B, N) 1 where it is known to, 0 where not, NaN where unknown.
    """
    similarity = torch.einsum("bpc,nc->bnp", dense, names).float()
    score = scale.exp() * similarity.topk(min(TOP, dense.shape[1]), -1).values.mean(-1) + bias
    known = ~present.isnan()
    loss = functional.binary_cross_entropy_with_logits(score, present.nan_to_num(), reduction="none")
    positive = known & (present > 0.5)
    negative = known & (present < 0.5)
    return loss[positive].mean() + loss[negative].mean()


def box_loss(dense: Tensor, names: Tensor, inside: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """What each patch should say of each name, and where a name's highest patches should lie.

    Args:
        dense: (B, P, 256). names: (N, 256). inside: (B, N, P) 1 in a box of the name, 0 outside, NaN where it is open.
    """
    logits = scale.exp() * torch.einsum("bpc,nc->bnp", dense, names).float() + bias
    positive, negative = inside > 0.5, inside < 0.5
    loss = functional.binary_cross_entropy_with_logits(logits, inside.nan_to_num(), reduction="none")
    shown = positive.any(-1)
    rows, there = logits[shown], positive[shown]
    pointing = rows.logsumexp(-1) - rows.masked_fill(~there, float("-inf")).logsumexp(-1)
    around = loss[shown][negative[shown]].mean()
    return loss[positive].mean() + around + loss[negative].mean() + pointing.mean()


def boxed_names(facts: dict[str, Any]) -> dict[str, Tensor]:
    """For names with boxes (256,) float: 1 where a box of the name is, NaN where one may be, else 0.

    Captions call persons by other names, which take the persons' boxes.
    """
    middles = (torch.arange(GRID) + 0.5) / GRID
    known: dict[str, Tensor] = {}
    found = [box for box in facts.get("found", []) if box["score"] >= MAYBE]
    for box in sorted(found, key=lambda box: box["score"]):
        patches = known.setdefault(box["name"], torch.zeros(GRID, GRID))
        left, top, right, bottom = box["box"]
        column, row = (min(GRID - 1, int(GRID * (a + b) / 2)) for a, b in ((left, right), (top, bottom)))
        within = ((middles >= top) & (middles < bottom))[:, None] & (middles >= left) & (middles < right)
        within[row, column] = True
        patches[within] = 1.0 if box["score"] >= SURE else torch.nan
    if "person" in known:
        for noun in {noun for caption in facts.get("captions", []) for noun in nouns(caption)} & set(PEOPLE):
            known[noun] = known["person"]
    return {name: patches.flatten() for name, patches in known.items()}


def insides(photos: Sequence[dict[str, Tensor]], names: Sequence[str]) -> Tensor:
    """(B, N, 256) of photos' `boxed_names`: a COCO name without a box is nowhere, another is unknown."""
    inside = torch.zeros(len(photos), len(names), GRID * GRID)
    for n, name in enumerate(names):
        for b, known in enumerate(photos):
            if name in known:
                inside[b, n] = known[name]
            elif name not in NAMES:
                inside[b, n] = torch.nan
    return inside


def embed_all(tower: TextTower, texts: list[str]) -> dict[str, Tensor]:
    """Sentence vector of every distinct text."""
    order = sorted(set(texts), key=len)
    parts = [tower.embed(order[i : i + 256]).cpu() for i in range(0, len(order), 256)]
    return dict(zip(order, torch.cat(parts), strict=True))


def averaged(tokens: npt.NDArray[np.float16], side: int) -> Tensor:
    """(N, 16 / side, 16 / side, 384) half, means of tokens (N, 16, 16, 384) over squares."""
    channels_first = torch.from_numpy(np.array(tokens)).float().permute(0, 3, 1, 2)
    return functional.avg_pool2d(channels_first, side).permute(0, 2, 3, 1).half()


def things(facts: dict[str, Any]) -> set[str]:
    """Names of what a photo shows, as its captions or its label and its boxes say."""
    boxed = {box["name"] for box in facts.get("found", []) if box["score"] >= SURE}
    if facts.get("captions"):
        return boxed.union(*(nouns(caption) for caption in facts["captions"]))
    return boxed | {facts["label"].replace("_", " ").split(",")[0].lower()}


def train(
    features: Annotated[Path, typer.Option(help="folder by misc.train.prepare.features")],
    out: Annotated[Path, typer.Option(help="folder for state and weights")],
    boxes: Annotated[Path | None, typer.Option(help="by misc.train.prepare.detections")] = None,
    start: Annotated[Path | None, typer.Option(help="clip.safetensors to start from")] = None,
    minutes: float = 10,
    batch: int = 320,
    local_batch: Annotated[int, typer.Option(help="photos of a batch whose patches learn names")] = 112,
    name_count: Annotated[int, typer.Option(help="names a step")] = 128,
    lr: float = 1e-3,
    steps: int = 1_000_000,
    seed: int = 0,
    profile: str = "embedded",
) -> None:
    """Train the embedded CLIP."""
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    draw = random.Random(seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    found = load_features(features, boxes)
    pooled = {
        side: torch.cat([averaged(found.tokens[i : i + 256], side) for i in range(0, len(found.facts), 256)])
        for side in POOLS
    }
    shown = [things(known) for known in found.facts]
    boxes_of = [boxed_names(known) for known in found.facts]
    sentences = [
        known.get("captions") or [f"a photo of a {name}" for name in sorted(s)]
        for known, s in zip(found.facts, shown, strict=True)
    ]
    tower = load_text_tower(load_profile(profile).packages["minilm"].checked(), device)
    vectors = embed_all(
        tower, [text for texts in sentences for text in texts] + [name for s in shown for name in s] + BOXED
    )
    heads = (load_clip_heads(start) if start else ClipHeads()).requires_grad_(True).to(device).train()
    average = torch.optim.swa_utils.AveragedModel(heads, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.99))
    optimizer = torch.optim.AdamW(heads.parameters(), lr=lr, weight_decay=0.05)
    path = out / "state.pt"
    step, seconds = restore(path, heads, average, [optimizer])
    draw.seed(seed + step)
    began, saved_at = time.time() - seconds, time.time()
    means: dict[str, float] = {}

    def checkpoint() -> None:
        save(path, heads, average, [optimizer], step, time.time() - began)
        weights = {name: value.half().contiguous() for name, value in average.module.state_dict().items()}
        save_file(weights, out / "clip.safetensors")

    while step < steps and time.time() - began < 60 * minutes:
        done = max(step / steps, (time.time() - began) / (60 * minutes))
        for group in optimizer.param_groups:
            group["lr"] = lr * min(1.0, (step + 1) / 30) * max(0.02, 1 - done)
        chosen = draw.sample(range(len(found.facts)), batch)
        patches = pooled[draw.choice(POOLS)][chosen].float()
        mirrored = torch.tensor([draw.random() < 0.5 for _ in chosen])
        patches = torch.where(mirrored[:, None, None, None], patches.flip(2), patches).to(device)
        local = torch.from_numpy(np.stack([found.tokens[i] for i in chosen[:local_batch]])).float().to(device)
        boxed = [k for k, i in enumerate(chosen[:local_batch]) if boxes_of[i]]
        inside = insides([boxes_of[chosen[k]] for k in boxed], BOXED).to(device)
        captions = torch.stack([vectors[draw.choice(sentences[i])] for i in chosen]).to(device)
        names = draw.sample(sorted(set().union(*(shown[i] for i in chosen[:local_batch]))), name_count)
        present = torch.tensor(
            [[presence(found.facts[i], shown[i], name) for name in names] for i in chosen[:local_batch]], device=device
        )
        with torch.autocast(device, torch.bfloat16):
            image = heads.encode_image(patches)
            dense = functional.normalize(heads.local(local), dim=-1).flatten(1, 2)
            text = heads.encode_text(captions)
            name_vectors, box_vectors = (
                heads.encode_text(torch.stack([vectors[name] for name in of]).to(device)) for of in (names, BOXED)
            )
        by_captions = contrast(image.float(), text.float(), heads.logit_scale)
        by_names = name_loss(dense, name_vectors.to(dense.dtype), present, *heads.dense)
        losses = {"captions": by_captions, "names": by_names}
        if bool((inside > 0.5).any()):
            losses["boxes"] = box_loss(dense[boxed], box_vectors.to(dense.dtype), inside, *heads.dense)
        torch.stack([*losses.values()]).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        average.update_parameters(heads)
        step += 1
        for name, value in losses.items():
            means[name] = value.item() + 0.95 * (means.get(name, value.item()) - value.item())
        if step % 20 == 0:
            note = "  ".join(f"{name} {value:.3f}" for name, value in means.items())
            print(f"step {step}  {note}  {(time.time() - began) / step:.2f} s/step", file=sys.stderr, flush=True)
        if time.time() - saved_at > 240:
            checkpoint()
            saved_at = time.time()
    checkpoint()
    print(json.dumps({"steps": step, "seconds": round(time.time() - began), **means}))


def presence(facts: dict[str, Any], shown: set[str], name: str) -> float:
    """1 or 0; NaN where a label alone is known and does not say."""
    if name in shown:
        return 1.0
    return 0.0 if facts.get("captions") else float("nan")


if __name__ == "__main__":
    typer.run(train)
