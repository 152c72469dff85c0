"""Make region maps to fit the region stream to, as long as there is no locator to make real ones.

    python -m misc.train.region_maps --data FOLDER --out maps.npz [--held-out]

From the photos at even places of `boxes-*.tar` (WebDataset; with --held-out from the others, to evaluate): the boxes
of up to three names, and at times a ground, a sky or what the others leave. A third of the maps are the boxes as they
are; the others imitate the similarity of patches and a text: boxes blurred, plus smooth noise, cut at a threshold that
adapts.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import typer
import webdataset

from misc.bits.regions import grid_shape
from misc.region_files import rasterise

__all__ = ["imitate", "labelled_photos", "photo_maps"]

Mask = npt.NDArray[np.bool_]
CELLS = (4, 8, 8, 8, 16)
ITEMS = 3


def labelled_photos(data: Path, *, held_out: bool) -> Iterator[dict[str, Any]]:
    """Width, height and boxes by name of every second photo."""
    shards = sorted(map(str, data.glob("boxes-*.tar")))
    photos = webdataset.WebDataset(shards, shardshuffle=False).decode("pil")
    for i, photo in enumerate(photos):
        if i % 2 == held_out:
            names: dict[str, list[list[float]]] = {}
            for box in photo["json"]["boxes"]:
                names.setdefault(box["name"], []).append(box["xywh"])
            width, height = photo["webp"].size
            yield {"width": width, "height": height, "names": names}


def photo_maps(photo: dict[str, Any], cells: int, draw: np.random.Generator, *, boxes: bool) -> Mask:
    """(items, rows, columns) of a photo, in any order, flipped or not."""
    width, height = photo["width"], photo["height"]
    shape = grid_shape(width, height, cells)
    largest = sorted(photo["names"].values(), key=lambda found: -sum(w * h for _, _, w, h in found))
    masks = [rasterise(found, width, height, shape) for found in largest[:ITEMS]]
    while len(masks) < ITEMS:
        masks.append(background(masks, shape, draw))
    if not boxes:
        masks = [imitate(mask, draw) for mask in masks]
    result = np.array(masks)[draw.permutation(ITEMS)]
    return result[:, :, ::-1] if draw.random() < 0.5 else result


def background(masks: list[Mask], shape: tuple[int, int], draw: np.random.Generator) -> Mask:
    """A ground, a sky, or what the others leave."""
    rows, columns = shape
    edge = int(draw.integers(rows // 4, 3 * rows // 4 + 1))
    ground = np.broadcast_to(np.arange(rows)[:, None] >= edge, (rows, columns))
    kind = draw.integers(3)
    if kind == 2 and masks:
        return ~np.any(masks, 0)
    return ~ground if kind else ground


def imitate(mask: Mask, draw: np.random.Generator) -> Mask:
    """The mask as similarities to its item's name might give it."""
    unit = min(mask.shape) / 8  # the patches of a picture are smooth in the picture, not in its cells
    field = blur(mask.astype(float), draw.uniform(0.3, 0.9) * unit)
    field /= max(field.max(), 1e-6)
    noise = blur(draw.normal(size=mask.shape), draw.uniform(0.4, 1.4) * unit)
    field += draw.uniform(0.05, 0.3) * noise / (noise.std() + 1e-6)
    field += draw.uniform(0, 0.06) * draw.normal(size=mask.shape)
    if draw.random() < 0.5:
        threshold = field.mean() + draw.uniform(0.4, 1.1) * field.std()
    else:
        threshold = field.min() + draw.uniform(0.4, 0.65) * (field.max() - field.min())
    return np.asarray(field > threshold)


def blur(field: npt.NDArray[np.float64], sigma: float) -> npt.NDArray[np.float64]:
    """A Gaussian blur, edges extended."""
    reach = max(1, round(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    for axis in (0, 1):
        wide = np.pad(field, [(reach, reach) if side == axis else (0, 0) for side in (0, 1)], mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(wide, 2 * reach + 1, axis)
        field = windows @ (kernel / kernel.sum())
    return field


def main(
    data: Annotated[Path, typer.Option(help="folder with boxes-*.tar")],
    out: Annotated[Path, typer.Option(help="the .npz that is written")],
    rounds: Annotated[int, typer.Option(min=1, help="maps of a photo and a grid")] = 6,
    held_out: Annotated[bool, typer.Option("--held-out", help="of the photos that are not for training")] = False,
    seed: int = 0,
) -> None:
    """Make region maps."""
    draw = np.random.default_rng(seed)
    photos = list(labelled_photos(data, held_out=held_out))
    arrays = [
        photo_maps(photo, cells, draw, boxes=number % 3 == 0)
        for number in range(rounds)
        for photo in photos
        for cells in CELLS
    ]
    np.savez_compressed(out, *arrays)
    print(f"{len(arrays)} maps of {len(photos)} photos -> {out}")


if __name__ == "__main__":
    typer.run(main)
