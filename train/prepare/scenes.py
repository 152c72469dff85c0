"""Scenes of training photos: descriptions and masks for training the generator.

    python -m misc.train.prepare.scenes --data SHARDS --out scenes.jsonl

    captions ─► noun phrases ─┐
    label ────────────────────┼─► Description ─► names ─► locator ─► RegionMaps ─► a line of JSON per photo
    neither ─► describer ─────┘

The describer also describes every second labelled photo, so that the generator sees the describer's mistakes. With
`--described`, it describes every photo, as the encoder does.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from PIL import Image
from rich.progress import track

from ...bits.regions.maps import RegionMaps
from ...bits.text.description import Description, Item
from ...cli.app import run_alone
from ...errors import DescriberError
from ...models.locator import SCORE, maps_of
from ...models.semantics import Semantics
from ...models.towers.vision import patch_tokens, to_input
from ...profiles import load_profile
from ..data.images import named_photos
from ..data.noun_phrases import describe_captions
from ..options import ProfileName

__all__ = ["read_scenes", "scene_of"]


def scene_of(semantics: Semantics, photo: Image.Image, facts: dict[str, Any]) -> dict[str, Any]:
    """Description and masks of a photo for JSON.

    Args:
        semantics: describes and locates.
        photo: of any size.
        facts: captions or a label; without them, the describer describes the photo.
    """
    patches = patch_tokens(semantics.tower, to_input(photo)[None])
    things = semantics.detector.find(photo, SCORE) if semantics.detector else []
    if facts.get("captions"):
        description = describe_captions(facts["captions"])
    elif facts.get("label"):
        label = str(facts["label"]).replace("_", " ").split(",")[0].lower()
        description = Description(f"a {label}", (Item(label, ""),))
    else:
        description = semantics.embedded_describer.describe_patches(
            patches[0], sight=semantics.embedded_describer.sight(photo)
        )
    names = [item.name for item in description.items]
    scene: dict[str, Any] = {
        "overall": description.overall,
        "items": [dataclasses.asdict(i) for i in description.items],
    }
    if names:
        dense = semantics.clip.write(semantics.clip.look(patches)[1][0], things)
        maps = maps_of(dense, semantics.clip.embed_texts(names), photo.size)
        scene["masks"] = maps.masks.astype(int).tolist()
    return scene


def read_scenes(path: Path) -> dict[str, tuple[Description, RegionMaps | None]]:
    """Description and masks of every photo in a file that this program wrote, by the photo's name."""
    scenes: dict[str, tuple[Description, RegionMaps | None]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            scene = json.loads(line)
        except ValueError:  # a run was stopped during a write
            continue
        description = Description(scene["overall"], tuple(Item(**item) for item in scene["items"]))
        maps = RegionMaps(np.array(scene["masks"], bool)) if "masks" in scene else None
        scenes[scene["photo"]] = (description, maps)
    return scenes


def main(
    data: Annotated[list[Path], typer.Option(help="shards (.tar), or folders of them; repeatable")],
    out: Annotated[Path, typer.Option(help="file for the scenes (.jsonl), which keeps what it holds")],
    described: Annotated[
        bool, typer.Option("--described", help="let the describer describe every photo, captions or not")
    ] = False,
    profile: ProfileName = "embedded",
) -> None:
    """Make scenes."""
    semantics = Semantics(load_profile(profile))
    done = set(read_scenes(out)) if out.exists() else set()
    with out.open("a", encoding="utf-8") as file:
        for number, (name, photo, facts) in enumerate(
            track(named_photos(data), "describing and locating", transient=True)
        ):
            if name not in done:
                own = described or (number % 2 == 0 and not facts.get("captions"))
                try:
                    scene = scene_of(semantics, photo, {} if own else facts)
                except DescriberError:  # the photo gets no text
                    continue
                file.write(json.dumps({"photo": name} | scene) + "\n")
                file.flush()


if __name__ == "__main__":
    run_alone(main)
