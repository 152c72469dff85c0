"""Compare the region stream with other codecs of bi-level images.

    python -m misc.eval.regions --data FOLDER [--maps FILE.npz] [--items N] [--json FILE]

FOLDER holds `boxes-*.tar` (WebDataset). The maps are the boxes of the N largest names of the photos with odd index;
photos with fewer names are left out. FILE.npz holds other maps, an array (items, rows, columns) for each image. The
stream's tables were fitted to neither. The other codecs get all masks stacked in one image. Their bits are those of
whole files; the stream's are those of its payload with grid and number of items. No package has a JBIG2 encoder.
"""

from __future__ import annotations

import io
import json
import tarfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image
from rich.console import Console
from rich.table import Table

from ..bits.regions.coder import pack, unpack
from ..bits.regions.maps import GRIDS, RegionMaps, grid_shape
from ..cli.app import run_alone
from ..maps import rasterise, read_maps

__all__ = ["boxed_maps", "compare"]


def stream(maps: RegionMaps) -> bytes:
    """The region stream's payload in a file without text; checks that every map is decoded correctly."""
    rows, columns = maps.masks.shape[1:]
    data = pack(maps, columns, rows)  # an image with one pixel per cell has this grid
    if not np.array_equal(unpack(data, columns, rows).masks, maps.masks):
        raise AssertionError("the region stream lost a map")
    return data


def stream_with_text(maps: RegionMaps) -> bytes:
    """The payload in a file whose text has the same number of items."""
    rows, columns = maps.masks.shape[1:]
    return pack(maps, columns, rows, len(maps.masks))


def raw(maps: RegionMaps) -> bytes:
    return np.packbits(maps.masks).tobytes()


def image_file(maps: RegionMaps, kind: str, **options: object) -> bytes:
    """The stacked masks as a file of Pillow."""
    buffer = io.BytesIO()
    Image.fromarray(np.concatenate(maps.masks)).convert("1").save(buffer, kind, **options)
    return buffer.getvalue()


def group4(maps: RegionMaps) -> bytes:
    """CCITT Group 4, the strips of a TIFF without its header and tags."""
    with Image.open(io.BytesIO(data := image_file(maps, "TIFF", compression="group4"))) as image:
        tags = image.tag_v2  # type: ignore[attr-defined]
        return b"".join(data[at : at + size] for at, size in zip(tags[273], tags[279], strict=True))


CODECS: dict[str, Callable[[RegionMaps], bytes]] = {
    "MISC": stream,
    "MISC, with text": stream_with_text,
    "raw": raw,
    "zlib": lambda maps: zlib.compress(raw(maps), 9),
    "PNG": lambda maps: image_file(maps, "PNG", optimize=True),
    "CCITT G4 in TIFF": lambda maps: image_file(maps, "TIFF", compression="group4"),
    "CCITT G4, bare": group4,
}


def compare(maps: Sequence[RegionMaps]) -> dict[str, dict[str, float]]:
    """Bits of an image's maps by codec: mean, largest, and largest excess over raw."""
    plain = np.array([8 * len(raw(each)) for each in maps])
    result = {}
    for name, code in CODECS.items():
        bits = np.array([8 * len(code(each)) for each in maps])
        result[name] = {"mean": float(bits.mean()), "max": float(bits.max()), "over_raw": float((bits - plain).max())}
    return result


def boxed_maps(data: Path, items: int, cells: int, *, square: bool = False) -> list[RegionMaps]:
    """Boxes of the largest names of every second photo that has enough; `square`: on as many rows as columns."""
    result = []
    for i, (width, height, boxes_by_name) in enumerate(boxed_photos(data)):
        largest = sorted(boxes_by_name.values(), key=lambda boxes: -sum(w * h for _, _, w, h in boxes))[:items]
        if i % 2 and len(largest) == items:
            shape = (cells, cells) if square else grid_shape(width, height, cells)
            result.append(RegionMaps(np.array([rasterise(boxes, width, height, shape) for boxes in largest])))
    return result


def boxed_photos(data: Path) -> list[tuple[int, int, dict[str, list[list[float]]]]]:
    """Width, height and boxes by name of all photos, in the order of the shards."""
    sizes: dict[str, tuple[int, int]] = {}
    names: dict[str, dict[str, list[list[float]]]] = {}
    for shard in sorted(data.glob("boxes-*.tar")):
        with tarfile.open(shard) as archive:
            for member in archive:
                key, _, kind = member.name.rpartition(".")
                content = io.BytesIO(archive.extractfile(member).read())  # type: ignore[union-attr]
                if kind != "json":
                    sizes[key] = Image.open(content).size
                    continue
                names[key] = {}
                for box in json.load(content)["boxes"]:
                    names[key].setdefault(box["name"], []).append(box["xywh"])
    return [(*size, names[key]) for key, size in sizes.items()]


def main(
    data: Annotated[Path, typer.Option(help="folder with boxes-*.tar")],
    maps: Annotated[Path | None, typer.Option(help="file of more maps (.npz)")] = None,
    items: Annotated[int, typer.Option(min=1, max=16, help="number of masks of a photo")] = 3,
    json_file: Annotated[Path | None, typer.Option("--json", help="file for the figures")] = None,
) -> None:
    """Compare the region stream with other codecs of bi-level images."""
    sets = {f"{items} masks of 8x8": boxed_maps(data, items, 8, square=True)}
    sets |= {f"{items} masks, {cells} cells on the shorter side": boxed_maps(data, items, cells) for cells in GRIDS}
    if not all(sets.values()):
        raise typer.BadParameter(f"{data} has no boxes-*.tar with photos of {items} names")
    for each in read_maps(maps.read_bytes()) if maps else []:
        count, rows, columns = each.masks.shape
        sets.setdefault(f"{maps.name}: {count} masks of {rows}x{columns}", []).append(each)  # type: ignore[union-attr]
    result = {name: {"photos": len(each), "bits": compare(each)} for name, each in sets.items()}
    for name, figures in result.items():
        table = Table("codec", "bits, mean", "max", "over raw", title=f"{name}, {figures['photos']} photos")
        for codec, row in figures["bits"].items():  # type: ignore[attr-defined]
            table.add_row(codec, *(f"{row[column]:.1f}" for column in ("mean", "max", "over_raw")))
        Console().print(table)
    if json_file:
        json_file.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    run_alone(main)
