"""Region maps of training photos, for fitting the tables of the region stream.

    python -m misc.train.prepare.region_maps --features FOLDER --boxes detections.jsonl --out maps.npz

`misc.train.prepare.features` makes FOLDER, `misc.train.prepare.detections` the boxes. The items are those that
`misc.train.data.noun_phrases` finds in the captions. The locator makes the maps, for photos of several usual aspect
ratios (the features belong to photos stretched to squares).
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.progress import track

from ...bits.regions.maps import DEFAULT_GRID, GRIDS, RegionMaps
from ...cli.app import run_alone
from ...models.locator import EmbeddedClip, maps_of
from ...models.semantics import Semantics
from ...models.towers.detector import Detection
from ...profiles import load_profile
from ..data.noun_phrases import describe_captions
from ..options import ProfileName
from .features import load_features

__all__ = ["real_maps"]

CELLS = (*GRIDS, *(DEFAULT_GRID,) * 2)
SHAPES = ((1, 1), (4, 3), (3, 2), (3, 2), (16, 9), (3, 4), (2, 3))


def real_maps(clip: EmbeddedClip, features: Path, boxes: Path, count: int, draw: random.Random) -> list[RegionMaps]:
    """Maps of `count` captioned photos with boxes, drawn at random."""
    photos = load_features(features, boxes)
    captioned = [i for i, known in enumerate(photos.facts) if known.get("captions") and "found" in known]
    result = []
    for i in track(draw.sample(captioned, min(count, len(captioned))), "locating", transient=True):
        names = [item.name for item in describe_captions(photos.facts[i]["captions"]).items]
        if names:
            patches = torch.from_numpy(np.array(photos.tokens[i], np.float32))
            things = [Detection(box["name"], box["score"], tuple(box["box"])) for box in photos.facts[i]["found"]]
            dense = clip.write(clip.look(patches[None])[1][0], things)
            result.append(maps_of(dense, clip.embed_texts(names), draw.choice(SHAPES), draw.choice(CELLS)))
    return result


def main(
    features: Annotated[Path, typer.Option(help="folder that misc.train.prepare.features wrote")],
    boxes: Annotated[Path, typer.Option(help="file that misc.train.prepare.detections wrote")],
    out: Annotated[Path, typer.Option(help="file for the maps (.npz)")],
    count: Annotated[int, typer.Option(help="number of photos")] = 1500,
    seed: Annotated[int, typer.Option(help="seed of the choice of photos")] = 0,
    profile: ProfileName = "embedded",
) -> None:
    """Make region maps."""
    maps = real_maps(Semantics(load_profile(profile)).clip, features, boxes, count, random.Random(seed))
    np.savez_compressed(out, **{f"{i:05}": each.masks for i, each in enumerate(maps)})


if __name__ == "__main__":
    run_alone(main)
