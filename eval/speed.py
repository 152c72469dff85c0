"""How fast the decoder draws, beside diffusers' own pipeline: python -m misc.eval.speed --profile sd15-tile

    the same networks, image, prompt, scheduler, steps and guidance ─► seconds an image, highest memory

`--random-weights` builds the networks in full size without weights, which takes as long to run. `--tiny` is for tests.
The median of some runs counts, after one that does not.
"""

from __future__ import annotations

import gc
import json
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from PIL import Image
from rich.console import Console
from rich.table import Table

from ..bits.regions.maps import RegionMaps
from ..bits.streams import Streams
from ..bits.text.description import Description, Item
from ..decoder_profile import DecoderProfile, SamplingChanges
from ..models.decoder.decoder import Decoder, Parts
from ..models.decoder.scene import Scene
from ..models.decoder.text_encoders import ClipText
from ..models.decoder.weights import load_parts
from ..profiles import load_profile
from .memory import peak_memory
from .random_parts import random_parts

__all__ = ["measure", "plain_pipeline"]

SIZES = ((512, 512), (768, 512))
TINY_SIZES = ((64, 64), (96, 64))
PROMPT = "a grey cat sits on a wooden bench in a garden"
ITEMS = (Item("cat", "grey, striped"), Item("bench", "wooden"), Item("garden", "green"))


def measure(
    profile: str, *, random_weights: bool, tiny: bool = False, steps: int = 20, runs: int = 3, data: Path | None = None
) -> dict[str, Any]:
    """Seconds and memory of each way to draw, for each size."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.float16 if device == "cuda" else torch.float32
    chosen = load_profile(profile).decoder
    if chosen is None or chosen.text != "clip":
        raise typer.BadParameter(f"profile {profile} has no decoder that a pipeline of diffusers can draw by")

    def parts() -> Parts:
        if not random_weights:
            return load_parts(load_profile(profile), dtype)
        size = {"sd15-tile": "tiny", "sdxl-tile": "tiny-xl"}[profile] if tiny else profile
        return random_parts(size, device=device)

    rows: list[dict[str, Any]] = []
    sizes = TINY_SIZES if tiny else SIZES
    images = [image_of_size(data, *size) for size in sizes]
    ways: list[tuple[str, Callable[[], Callable[[Image.Image], object]]]] = [
        ("diffusers", lambda: plain_pipeline(parts(), chosen, steps, device, dtype)),
        ("ours", lambda: ours(parts(), chosen, steps, device, tiny, regions=False)),
        ("ours, three regions", lambda: ours(parts(), chosen, steps, device, tiny, regions=True)),
    ]
    if device == "cuda":
        ways.append(
            ("ours, compiled", lambda: ours(parts(), chosen, steps, device, tiny, regions=False, compiled=True))
        )
    for name, make in ways:
        draw = make()
        for image in images:
            seconds, memory = time_draw(draw, image, runs)
            rows.append({"way": name, "size": "x".join(map(str, image.size)), "seconds": seconds, "gib": memory})
        del draw
        gc.collect()
        if device == "cuda":
            torch.cuda.empty_cache()
    hardware = torch.cuda.get_device_name() if device == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    return {
        "profile": profile,
        "random_weights": random_weights,
        "tiny": tiny,
        "steps": steps,
        "on": hardware,
        "rows": rows,
    }


def plain_pipeline(
    parts: Parts, chosen: DecoderProfile, steps: int, device: str, dtype: torch.dtype
) -> Callable[[Image.Image], object]:
    """Diffusers' image-to-image pipeline with the first ControlNet."""
    import diffusers

    assert isinstance(parts.text, ClipText)
    large = len(parts.text.models) > 1
    kind = "StableDiffusionXLControlNetImg2ImgPipeline" if large else "StableDiffusionControlNetImg2ImgPipeline"
    encoders = {"text_encoder": parts.text.models[0], "tokenizer": parts.text.tokenizers[0]}
    if large:
        encoders |= {"text_encoder_2": parts.text.models[1], "tokenizer_2": parts.text.tokenizers[1]}
    else:
        encoders |= {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    controlnet = parts.controls[0].net
    pipeline = getattr(diffusers, kind)(
        vae=parts.vae, unet=parts.unet, controlnet=controlnet, scheduler=parts.scheduler, **encoders
    ).to(device, dtype)
    pipeline.set_progress_bar_config(disable=True)
    sampling = chosen.sampling

    def draw(image: Image.Image) -> object:
        return pipeline(
            prompt=PROMPT,
            negative_prompt=sampling.negative,
            image=image,
            control_image=image,
            num_inference_steps=math.ceil(steps / sampling.strength),  # of which it takes the last
            strength=sampling.strength,
            guidance_scale=sampling.guidance,
            generator=torch.Generator().manual_seed(0),
        ).images[0]

    return draw


def ours(
    parts: Parts, chosen: DecoderProfile, steps: int, device: str, tiny: bool, *, regions: bool, compiled: bool = False
) -> Callable[[Image.Image], object]:
    """The decoder, with the first ControlNet; with three items in their regions, or none."""
    first = Parts(parts.unet, parts.vae, parts.scheduler, parts.text, parts.controls[:1])
    native, tile = (64, 128) if tiny else (chosen.native, chosen.tile)
    decoder = Decoder(first, chosen.sampling, native=native, tile=tile, device=device, compiled=compiled)
    masks = np.zeros((3, 8, 8), np.bool_)
    masks[0, :4, :4] = masks[1, 4:] = masks[2, :4, 4:] = True

    def draw(image: Image.Image) -> object:
        text = Description(PROMPT, ITEMS if regions else ())
        maps = RegionMaps(masks) if regions else None
        scene = Scene(Streams(*image.size, 0, text, maps), np.asarray(image))
        return decoder.draw(scene, changes=SamplingChanges(steps=steps))

    return draw


def time_draw(draw: Callable[[Image.Image], object], image: Image.Image, runs: int) -> tuple[float, float]:
    """Median seconds of some runs, and the highest memory in GiB: the GPU's, else this process's so far."""
    draw(image)
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        draw(image)  # its result is on the CPU, so the GPU has finished
        times.append(time.perf_counter() - began)
    used = torch.cuda.max_memory_allocated() if on_gpu else peak_memory()
    return statistics.median(times), used / 2**30


def image_of_size(data: Path | None, width: int, height: int) -> Image.Image:
    """The folder's first photo, or smooth colours, in a size."""
    if data is not None:
        photos = sorted(path for path in data.iterdir() if path.suffix.lower() in (".png", ".jpg", ".webp"))
        if not photos:
            raise typer.BadParameter(f"there is no photo in {data}")
        return Image.open(photos[0]).convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    rows, columns = np.mgrid[:height, :width]
    waves = np.stack([np.sin(columns / period + rows / 90) for period in (40, 70, 110)], -1)
    return Image.fromarray((128 + 100 * waves).astype(np.uint8))


def show(result: dict[str, Any], console: Console) -> None:
    """Print the figures, each beside diffusers' for the same size."""
    table = Table(title=f"{result['profile']}, {result['steps']} steps, {result['on']}")
    for name in ("way", "size", "seconds", "times as fast", "GiB"):
        table.add_column(name)
    plain = {row["size"]: row["seconds"] for row in result["rows"] if row["way"] == "diffusers"}
    for row in result["rows"]:
        ratio = plain[row["size"]] / row["seconds"]
        table.add_row(row["way"], row["size"], f"{row['seconds']:.3f}", f"{ratio:.2f}", f"{row['gib']:.2f}")
    console.print(table)


def main(
    profile: str = "sd15-tile",
    random_weights: Annotated[bool, typer.Option("--random-weights", help="use networks with random weights")] = False,
    tiny: Annotated[bool, typer.Option("--tiny", help="use very small networks and images")] = False,
    steps: int = 20,
    runs: int = 3,
    data: Annotated[Path | None, typer.Option(help="folder of photos")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="file for the figures")] = None,
) -> None:
    """Time the decoder."""
    result = measure(profile, random_weights=random_weights or tiny, tiny=tiny, steps=steps, runs=runs, data=data)
    show(result, Console())
    if json_file:
        json_file.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)
