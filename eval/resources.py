"""Measure time and memory of decoding, and whether it gives the same image again.

    python -m misc.eval.resources --image FILE [--bpp 0.024] [--profile NAME] [--json FILE]

It measures seconds with loaded models and peak memory, at two sizes with pixels and at one without, each in its own
process. It also compares the PNG bytes of two processes, and of batches of one and of four. Linux only.
"""

from __future__ import annotations

import hashlib
import io
import json
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

from ..cli.app import run_alone
from ..codec import Codec
from ..images import to_rgb
from .memory import peak_memory

__all__ = ["measure", "probe"]

SIZES = ((768, 512), (2048, 1365))


def probe(file: Path, profile: str, repeats: int = 3) -> dict[str, Any]:
    """Shortest of several decoding times with loaded models, peak memory in GiB, SHA-256 of the PNG."""
    torch.set_num_threads(2)
    codec, data, times = Codec(profile, device="cpu"), file.read_bytes(), []
    image = codec.decode(data)
    for _ in range(repeats):
        start = time.perf_counter()
        image = codec.decode(data)
        times.append(time.perf_counter() - start)
    with io.BytesIO() as png:
        image.save(png, "PNG")
        digest = hashlib.sha256(png.getvalue()).hexdigest()
    return {"seconds": min(times), "peak_gib": peak_memory() / 2**30, "png": digest}


def in_own_process(file: Path, profile: str) -> dict[str, Any]:
    """`probe` in another process."""
    command = [sys.executable, "-m", "misc.eval.resources", "--probe", str(file), "--profile", profile]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def measure(image: Image.Image, bpp: float, profile: str) -> dict[str, Any]:
    """Time and memory by size and mode, and whether images are the same again."""
    codec, result = Codec(profile), dict[str, Any]()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "photo.misc"
        for size in SIZES:
            resized = image.resize(size, Image.Resampling.LANCZOS)
            description, regions = codec.see(resized)
            known: dict[str, Any] = {"description": description, "regions": regions}
            modes = {"misc": {"bpp": bpp}, "text": {}} if size == SIZES[0] else {"misc": {"bpp": bpp}}
            for mode, options in modes.items():
                file.write_bytes(codec.encode(resized, mode=mode, **known, **options))  # type: ignore[arg-type]
                first = in_own_process(file, profile)
                result[f"{mode} {size[0]}x{size[1]}"] = {name: first[name] for name in ("seconds", "peak_gib")}
                if size == SIZES[0]:
                    again = in_own_process(file, profile)
                    content = codec.streams(file.read_bytes())
                    alone, together = (codec.draw_many([content] * count) for count in (1, 4))
                    batch = all(np.array_equal(alone[0], each) for each in together)
                    result[f"{mode} same"] = {"two processes": first["png"] == again["png"], "batches of 1, 4": batch}
    return result


def main(
    image: Annotated[Path | None, typer.Option(help="photo that is scaled to the sizes")] = None,
    bpp: Annotated[float, typer.Option(help="size of whole files with pixels in bits per pixel, at most")] = 0.024,
    json_file: Annotated[Path | None, typer.Option("--json", help="file for the figures")] = None,
    profile: Annotated[str, typer.Option(help="profile that decodes")] = "embedded",
    file: Annotated[
        Path | None, typer.Option("--probe", help="file to time instead; its figures are printed as JSON")
    ] = None,
) -> None:
    """Measure time, memory and sameness."""
    if file is not None:
        print(json.dumps(probe(file, profile)))
        return
    if image is None:
        raise typer.BadParameter("give a photo", param_hint="--image")
    with Image.open(image) as photo:
        result = measure(to_rgb(photo).image, bpp, profile)
    print(json.dumps(result, indent=1))
    if json_file:
        json_file.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    run_alone(main)
