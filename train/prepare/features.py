"""Patch tokens of all photos, computed once: python -m misc.train.prepare.features --data SHARDS --out FOLDER

The result is `tokens.npy` (photos, 16, 16, 384) float16 and `photos.jsonl`, which holds the annotations of each photo
in the shards (captions, label, boxes). Photos without captions or label are left out. Describer and locator are trained
on it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import torch
import typer
from PIL import Image

from ...cli.app import run_alone
from ...models.towers.vision import GRID, WIDTH, load_vision_tower, patch_tokens, to_input
from ...profiles import load_profile
from ..data.images import named_photos
from ..options import ProfileName

__all__ = ["Features", "labelled_photos", "load_features"]


@dataclass(frozen=True)
class Features:
    """tokens: (photos, 16, 16, 384) float16, on disk. facts: annotations of each photo."""

    tokens: npt.NDArray[np.float16]
    facts: list[dict[str, Any]]


def load_features(folder: Path, boxes: Path | None = None) -> Features:
    """The result of `main`, with the boxes of `misc.train.prepare.detections` as `found` in each photo's facts."""
    facts = [json.loads(line) for line in (folder / "photos.jsonl").read_text().splitlines()]
    if boxes:
        lines = [json.loads(line) for line in boxes.read_text().splitlines()]
        boxes_of = {line["photo"]: line["boxes"] for line in lines}
        facts = [known | ({"found": boxes_of[known["photo"]]} if known["photo"] in boxes_of else {}) for known in facts]
    return Features(np.load(folder / "tokens.npy", mmap_mode="r"), facts)


def labelled_photos(shards: list[Path]) -> Iterator[tuple[Image.Image, dict[str, Any]]]:
    """Photos of WebDataset shards with captions or a label, and their facts, with their names as `photo`."""
    for name, photo, facts in named_photos(shards):
        if facts.get("captions") or facts.get("label"):
            yield photo, {"photo": name} | facts


def main(
    data: Annotated[list[Path], typer.Option(help="shards (.tar), or folders of them; repeatable")],
    out: Annotated[Path, typer.Option(help="folder for tokens.npy and photos.jsonl")],
    batch: Annotated[int, typer.Option(help="number of photos that go through the tower at once")] = 32,
    profile: ProfileName = "embedded",
) -> None:
    """Compute patch tokens."""
    out.mkdir(parents=True, exist_ok=True)
    tower = load_vision_tower(load_profile(profile).packages["vit"].sound_path())
    tower = tower.to("cuda" if torch.cuda.is_available() else "cpu")
    facts: list[dict[str, Any]] = []
    waiting: list[torch.Tensor] = []
    blocks: list[npt.NDArray[np.float16]] = []
    began = time.time()

    def flush() -> None:
        if waiting:
            blocks.append(patch_tokens(tower, torch.stack(waiting)).half().cpu().numpy())
            waiting.clear()
            if len(blocks) % 10 == 0:
                print(f"{len(facts)} photos, {time.time() - began:.0f} s", file=sys.stderr, flush=True)

    for photo, known in labelled_photos(data):
        facts.append(known)
        waiting.append(to_input(photo))
        if len(waiting) == batch:
            flush()
    flush()
    np.save(out / "tokens.npy", np.concatenate(blocks).reshape(-1, GRID, GRID, WIDTH))
    (out / "photos.jsonl").write_text("".join(json.dumps(known) + "\n" for known in facts))


if __name__ == "__main__":
    run_alone(main)
