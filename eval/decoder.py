"""Measure what the decoder draws: all six modes on a folder of photos, by whole files.

    python -m misc.eval.decoder --data FOLDER [--bpp 0.024] [--limit N] [--json FILE]

Every photo is described and located once. A row is the mean over the photos: bits a pixel of the file, PSNR, ST-LPIPS
(`alex`), and the cosine of the embedded CLIP's embeddings of the drawn picture and the original. Beside the six modes
stand `text+pixel`, all streams but regions, and `misc --draft`, the same files as `misc` drawn without diffusion.
Below it, what each stream adds to that likeness: the mean over the photos and its standard error.
A profile without a decoder draws no file that lacks pixels, and its other pictures are drafts.
Then: seconds and highest memory of decoding at two sizes, each in a process of its own, and whether a file gives the
same PNG bytes in two processes and in batches of one and of four.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ..bits.regions.maps import RegionMaps
from ..bits.text.description import Description
from ..codec import Codec
from ..images import to_rgb
from ..models.locator import EmbeddedClip
from ..models.towers.vision import patch_tokens, to_input
from .memory import peak_memory
from .metrics import Reference, StLpips, mean_of

__all__ = ["files_of", "measure", "probe"]

MICRO_BPP, MICRO_BYTES = 500e-6, 16  # of files in mode micro, and as many bytes as a small picture gets
WITHOUT_PIXELS = frozenset({"dlsvc", "micro", "text", "text+map"})
SIZES = ((768, 512), (2048, 1365))
STEPS = (("pixel", "text+pixel"), ("text+pixel", "misc"), ("pixel", "misc"))  # a stream more
SUFFIXES = {".png", ".jpg", ".webp"}
GRID = 16


def files_of(
    codec: Codec, image: Image.Image, description: Description, regions: RegionMaps | None, bpp: float
) -> dict[str, bytes]:
    """Files of a photo: of each mode, and of text and pixels without regions."""
    known: dict[str, Any] = {"description": description}
    everything = known | {"regions": regions}
    micro = max(MICRO_BYTES, int(MICRO_BPP * image.width * image.height / 8))
    files = {
        "dlsvc": codec.encode(image, mode="dlsvc", **known),
        "micro": codec.encode(image, mode="micro", max_bytes=micro, **known),
        "text": codec.encode(image, mode="text", **known),
        "pixel": codec.encode(image, mode="pixel", bpp=bpp),
        "text+pixel": codec.encode(image, mode="misc", bpp=bpp, **known),
        "misc": codec.encode(image, mode="misc", bpp=bpp, **everything),
    }
    if regions is not None:
        files["text+map"] = codec.encode(image, mode="text+map", **everything)
    return files


def likeness(clip: EmbeddedClip, a: Image.Image, b: Image.Image) -> float:
    """Cosine of the embedded CLIP's embeddings of two pictures."""
    first, second = (clip.look(patch_tokens(clip.tower, to_input(each, GRID, GRID)[None]))[0][0] for each in (a, b))
    return float(first @ second)


def measure_photo(codec: Codec, image: Image.Image, metric: StLpips, bpp: float) -> dict[str, dict[str, float]]:
    """{row: figures} of one photo."""
    reference = Reference(image, metric)
    files = files_of(codec, image, *codec.see(image), bpp)
    rows = {}
    for name, data in files.items():
        if name in WITHOUT_PIXELS and codec.profile.decoder is None:
            continue
        for row, draft in ((name, False), (f"{name} --draft", True))[: 2 if name == "misc" else 1]:
            drawn = codec.decode(data, draft=draft)
            close = likeness(codec.semantics.clip, image, drawn)
            bits = 8 * len(data) / (image.width * image.height)
            rows[row] = {"bpp": bits, **reference.measure(drawn), "clip": close}
    return rows


def gains_of(photos: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """{"row to row": likeness that the second has more than the first, mean and standard error} over photos."""
    found = {}
    for less, more in STEPS:
        gains = [photo[more]["clip"] - photo[less]["clip"] for photo in photos if less in photo and more in photo]
        if len(gains) > 1:
            error = float(np.std(gains, ddof=1)) / math.sqrt(len(gains))
            found[f"{less} to {more}"] = {"gain": math.fsum(gains) / len(gains), "error": error}
    return found


def probe(file: Path, profile: str, repeats: int = 3) -> dict[str, Any]:
    """Least of some times to decode a file with models loaded, highest memory in GiB, SHA-256 of the PNG."""
    torch.set_num_threads(2)
    codec, data, times = Codec(profile, device="cpu"), file.read_bytes(), []
    picture = codec.decode(data)
    for _ in range(repeats):
        start = time.perf_counter()
        picture = codec.decode(data)
        times.append(time.perf_counter() - start)
    with io.BytesIO() as png:
        picture.save(png, "PNG")
        digest = hashlib.sha256(png.getvalue()).hexdigest()
    return {"seconds": min(times), "peak_gib": peak_memory() / 2**30, "png": digest}


def in_own_process(file: Path, profile: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "misc.eval.decoder", "--probe", str(file), "--profile", profile]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def resources_of(codec: Codec, image: Image.Image, bpp: float) -> dict[str, Any]:
    """Time and memory at each size, and whether pictures are the same again."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            resized = image.resize(size, Image.Resampling.LANCZOS)
            file = Path(folder) / "photo.misc"
            description, regions = codec.see(resized)
            file.write_bytes(codec.encode(resized, bpp=bpp, description=description, regions=regions))
            first = in_own_process(file, codec.profile.name)
            found["x".join(map(str, size))] = {name: first[name] for name in ("seconds", "peak_gib")}
            if size == SIZES[0]:
                again = in_own_process(file, codec.profile.name)
                content = codec.streams(file.read_bytes())
                alone, together = (codec.draw_many([content] * count) for count in (1, 4))
                batch = all(np.array_equal(alone[0], each) for each in together)
                found["same"] = {"in two processes": first["png"] == again["png"], "in batches of 1 and 4": batch}
    return found


def measure(data: Path, bpp: float, limit: int, profile: str) -> dict[str, Any]:
    """All figures of a folder of photos."""
    codec, metric = Codec(profile), StLpips()
    paths = sorted(path for path in data.iterdir() if path.suffix.lower() in SUFFIXES)[:limit]
    images = [to_rgb(Image.open(path)).image for path in paths]
    photos = [measure_photo(codec, image, metric, bpp) for image in track(images, "drawing", transient=True)]
    names = list(dict.fromkeys(name for photo in photos for name in photo))
    rows = {name: mean_of([photo[name] for photo in photos if name in photo]) for name in names}
    per_photo = {path.name: photo for path, photo in zip(paths, photos, strict=True)}
    found = {"photos": len(photos), "rows": rows, "gains": gains_of(photos)}
    return {**found, **resources_of(codec, images[0], bpp), "per_photo": per_photo}


def show(result: dict[str, Any], console: Console) -> None:
    table = Table("mode", "bpp", "PSNR dB", "ST-LPIPS", "CLIP likeness", title=f"{result['photos']} photos")
    for name, row in result["rows"].items():
        table.add_row(name, f"{row['bpp']:.5f}", f"{row['psnr']:.2f}", f"{row['st_lpips']:.4f}", f"{row['clip']:.4f}")
    console.print(table)
    for step, gain in result["gains"].items():
        console.print(f"CLIP likeness, {step}: {gain['gain']:+.4f}, standard error {gain['error']:.4f}")
    for size in SIZES:
        row = result["x".join(map(str, size))]
        console.print(f"{size[0]}x{size[1]}: {row['seconds']:.2f} s, at most {row['peak_gib']:.2f} GiB")
    for what, same in result["same"].items():
        console.print(f"same picture {what}: {'yes' if same else 'NO'}")


def main(
    data: Annotated[Path | None, typer.Option(help="folder of photos (Kodak)")] = None,
    bpp: Annotated[float, typer.Option(help="of whole files with pixels, at most")] = 0.024,
    limit: Annotated[int, typer.Option(min=1, help="photos, at most")] = 1000,
    json_file: Annotated[Path | None, typer.Option("--json", help="where the figures go")] = None,
    profile: str = "embedded",
    file: Annotated[Path | None, typer.Option("--probe", help="time one file instead, and print JSON")] = None,
) -> None:
    """Measure the decoder."""
    if file is not None:
        print(json.dumps(probe(file, profile)))
        return
    if data is None:
        raise typer.BadParameter("give a folder of photos", param_hint="--data")
    result = measure(data, bpp, limit, profile)
    show(result, Console())
    if json_file:
        json_file.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)
