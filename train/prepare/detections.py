"""Boxes of the embedded detector on training photos, for training the locator.

python -m misc.train.prepare.detections --data SHARDS --out detections.jsonl
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track

from ...cli.app import run_alone
from ...models.locator import SCORE
from ...models.towers.detector import Detector
from ...profiles import load_profile
from ..data.images import named_photos
from ..options import ProfileName

__all__ = ["main"]


def main(
    data: Annotated[list[Path], typer.Option(help="shards (.tar), or folders of them; repeatable")],
    out: Annotated[Path, typer.Option(help="file for the boxes (.jsonl)")],
    profile: ProfileName = "embedded",
) -> None:
    """Find boxes."""
    part = load_profile(profile).detector
    if part is None:
        raise typer.BadParameter(f"profile {profile} has no detector", param_hint="--profile")
    detector = Detector(part.path)

    def lines() -> Iterator[str]:
        for name, photo, _ in track(named_photos(data), "detecting", transient=True):
            boxes = [dataclasses.asdict(thing) for thing in detector.find(photo, SCORE)]
            yield json.dumps({"photo": name, "boxes": boxes}) + "\n"

    with out.open("w", encoding="utf-8") as file:
        file.writelines(lines())


if __name__ == "__main__":
    run_alone(main)
