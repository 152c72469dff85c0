"""How fast the decoder draws, beside diffusers' own pipeline: python -m misc.eval.speed --profile sd15-tile

    the same networks, image, prompt, scheduler, steps and guidance ─► seconds an image, times diffusers' seconds

`--random-weights` builds the networks in full size without weights, which takes as long to run. `--tiny` is for tests.
All ways draw in turn, again and again, and the least seconds of each count, after one round that does not: so a machine
that others use is no way's misfortune. On a CPU seconds are those of the processor, not of the clock on the wall, for
the same reason, and the ways share the memory of weights that both keep in one layout. It ends with exit code 1 if a
bound for a CPU is not kept.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import re
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
from ..cli.app import run_alone
from ..decoder_profile import Sampling, SamplingChanges
from ..models.decoder.decoder import ControlPart, Decoder, Parts
from ..models.decoder.scene import Scene
from ..models.decoder.text_encoders import ClipText
from ..models.decoder.weights import load_parts
from ..profiles import load_profile
from . import reference
from .memory import peak_memory
from .photos import photos_of
from .random_parts import family_of, random_parts

__all__ = ["measure"]

SIZES = ("512x512", "768x512")
TINY_SIZES = ("64x64", "96x64")
TINY = {"sd15-tile": "tiny", "sdxl-tile": "tiny-xl"}
PROMPT = "a grey cat sits on a wooden bench in a garden"
ITEMS = (Item("cat", "grey, striped"), Item("bench", "wooden"), Item("garden", "green"))
PLAIN, OURS, REGIONS, COMPILED = "diffusers", "ours", "ours, three regions", "ours, compiled"
BOUNDS = {OURS: 1.02, REGIONS: 1.15}  # times diffusers' seconds, on a CPU at full size

Draw = Callable[[Image.Image], object]


def measure(
    profile: str,
    *,
    random_weights: bool,
    tiny: bool = False,
    steps: int = 20,
    runs: int = 3,
    sizes: tuple[str, ...] = SIZES,
    dtype: str | None = None,
    data: Path | None = None,
) -> dict[str, Any]:
    """Seconds of each way to draw, for each size, and how many times diffusers' they are.

    Args:
        sizes: WIDTHxHEIGHT each.
        dtype: `float32`, `float16` or `bfloat16`; by default float16 on a GPU, float32 on a CPU.
        data: a folder, whose first photo is drawn.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = dtype or ("float16" if device == "cuda" else "float32")
    chosen = load_profile(profile).decoder
    if chosen is None or chosen.text != "clip":
        raise typer.BadParameter(f"profile {profile} has no decoder that a pipeline of diffusers can draw by")
    sampling = SamplingChanges(steps=steps).apply(chosen.sampling)
    images = [image_of_size(data, *(int(side) for side in size.split("x"))) for size in sizes]

    def parts() -> Parts:
        kind: torch.dtype = getattr(torch, dtype)
        if not random_weights:
            return first_control(load_parts(load_profile(profile), kind))
        size = TINY[family_of(chosen)] if tiny else family_of(chosen)
        return with_type(random_parts(size, device=device), kind)

    ours = parts()
    theirs = shared(ours) if device == "cpu" else parts()
    native, tile = (64, 128) if tiny else (chosen.native, chosen.tile)
    decoder = Decoder(ours, sampling, native=native, tile=tile, device=device, dtype=ours.unet.dtype)
    ways = {
        PLAIN: draw_plainly(theirs, sampling, device),
        OURS: draw_ours(decoder, regions=False),
        REGIONS: draw_ours(decoder, regions=True),
    }
    if device == "cuda":
        compiled = Decoder(
            parts(), sampling, native=native, tile=tile, device=device, dtype=ours.unet.dtype, compile_mode="default"
        )
        ways[COMPILED] = draw_ours(compiled, regions=False)
    return {
        "profile": profile,
        "random_weights": random_weights,
        "tiny": tiny,
        "steps": steps,
        "guidance": sampling.guidance,
        "type": dtype,
        "on": torch.cuda.get_device_name() if device == "cuda" else f"CPU, {torch.get_num_threads()} threads",
        "clock": "wall" if device == "cuda" else "processor",
        "runs": runs,
        "rows": [row for image in images for row in time_all(ways, image, runs)],
        "peak_gib": (torch.cuda.max_memory_allocated() if device == "cuda" else peak_memory()) / 2**30,
    }


def with_type(parts: Parts, dtype: torch.dtype) -> Parts:
    """Parts whose networks are of a type."""
    for net in networks(parts):
        torch.nn.Module.to(net, dtype)  # diffusers' own `to` warns
    return parts


def networks(parts: Parts) -> list[torch.nn.Module]:
    assert isinstance(parts.text, ClipText)
    return [parts.unet, parts.vae, *(each.net for each in parts.controls), *parts.text.models]


def first_control(parts: Parts) -> Parts:
    return dataclasses.replace(parts, controls=parts.controls[:1])


def shared(parts: Parts) -> Parts:
    """Other networks of the same weights, in the same memory until one of them is moved."""
    kept: dict[int, torch.Tensor] = {}
    for net in networks(parts):
        kept |= {id(buffer): buffer.detach() for buffer in net.buffers()}
        kept |= {id(each): torch.nn.Parameter(each.detach(), each.requires_grad) for each in net.parameters()}
    assert isinstance(parts.text, ClipText)
    return Parts(
        copy.deepcopy(parts.unet, kept),
        copy.deepcopy(parts.vae, kept),
        copy.deepcopy(parts.scheduler),
        ClipText(parts.text.tokenizers, copy.deepcopy(parts.text.models, kept)),
        tuple(ControlPart(copy.deepcopy(each.net, kept), each.kind, each.scale) for each in parts.controls),
    )


def draw_plainly(parts: Parts, sampling: Sampling, device: str) -> Draw:
    """Diffusers' image-to-image pipeline with the first ControlNet."""
    pipeline = reference.pipeline_of(parts).to(device)

    def draw(image: Image.Image) -> object:
        return reference.draw(pipeline, image, PROMPT, sampling, parts.controls[0].scale, 0)

    return draw


def draw_ours(decoder: Decoder, *, regions: bool) -> Draw:
    """The decoder, with three items in their regions, or none."""
    masks = np.zeros((3, 8, 8), np.bool_)
    masks[0, :4, :4] = masks[1, 4:] = masks[2, :4, 4:] = True
    text = Description(PROMPT, ITEMS if regions else ())
    maps = RegionMaps(masks) if regions else None
    return lambda image: decoder.draw(Scene(Streams(*image.size, 0, text, maps), np.asarray(image)))


def time_all(ways: dict[str, Draw], image: Image.Image, runs: int) -> list[dict[str, Any]]:
    """The least seconds of each way for an image; they take turns."""
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for run in range(runs + 1):
        for name, draw in ways.items():
            began = clock()
            draw(image)  # its result is on the CPU, so a GPU has finished
            if run:
                seconds[name].append(clock() - began)
    least = {name: min(each) for name, each in seconds.items()}
    return [
        {
            "way": name,
            "size": "x".join(map(str, image.size)),
            "seconds": least[name],
            "all seconds": seconds[name],
            "times diffusers": least[name] / least[PLAIN],
        }
        for name in ways
    ]


def image_of_size(data: Path | None, width: int, height: int) -> Image.Image:
    """The folder's first photo, or smooth colours, in a size."""
    if data is not None:
        return Image.open(photos_of(data, 1)[0]).convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    rows, columns = np.mgrid[:height, :width]
    waves = np.stack([np.sin(columns / period + rows / 90) for period in (40, 70, 110)], -1)
    return Image.fromarray((128 + 100 * waves).astype(np.uint8))


def show(result: dict[str, Any], console: Console) -> None:
    """Print the figures, each beside diffusers' for the same size."""
    table = Table(title=f"{result['profile']}, {result['steps']} steps, {result['type']}, {result['on']}")
    for name in ("way", "size", "seconds", "times diffusers'"):
        table.add_column(name)
    for row in result["rows"]:
        table.add_row(row["way"], row["size"], f"{row['seconds']:.3f}", f"{row['times diffusers']:.3f}")
    console.print(table)


def is_fast(result: dict[str, Any]) -> bool:
    """Whether the bounds for a CPU are kept, if the networks are of full size and on one."""
    if result["tiny"] or result["clock"] == "wall":
        return True
    return all(row["times diffusers"] <= BOUNDS.get(row["way"], 1) for row in result["rows"])


def main(
    profile: str = "sd15-tile",
    random_weights: Annotated[bool, typer.Option("--random-weights", help="use networks with random weights")] = False,
    tiny: Annotated[bool, typer.Option("--tiny", help="use very small networks and images")] = False,
    steps: int = 20,
    runs: Annotated[int, typer.Option(min=1, help="rounds of which the least seconds count")] = 3,
    size: Annotated[list[str] | None, typer.Option(help="WIDTHxHEIGHT, more than once for several")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, float16 or bfloat16")] = None,
    data: Annotated[Path | None, typer.Option(help="folder of photos")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="file for the figures")] = None,
) -> None:
    """Time the decoder."""
    if dtype not in (None, "float32", "float16", "bfloat16"):
        raise typer.BadParameter("float32, float16 or bfloat16", param_hint="--dtype")
    sizes = tuple(size or (TINY_SIZES if tiny else SIZES))
    if not all(re.fullmatch(r"[1-9]\d{1,3}x[1-9]\d{1,3}", each) for each in sizes):
        raise typer.BadParameter("such as 512x512", param_hint="--size")
    options = {"random_weights": random_weights or tiny, "tiny": tiny, "steps": steps, "runs": runs}
    result = measure(profile, **options, sizes=sizes, dtype=dtype, data=data)
    show(result, Console())
    if json_file:
        json_file.write_text(json.dumps(result, indent=1) + "\n")
    if not is_fast(result):
        raise typer.Exit(1)


if __name__ == "__main__":
    run_alone(main)
