"""Try a hub profile at full size without a hub: python -m misc.eval.full_size --profile sd15-tile [--json FILE]

    random networks ─► files in the hub's layout ─► a hub on this machine ─► fetched by huggingface_hub, checked
        ─► Codec: encode, decode with 2 steps, offline ──────────────────────────► latents ─┐
        ─► diffusers' own pipeline, which reads the same files by itself ────────► latents ─┴─► relative error

It takes minutes, some 8 GB of memory for Stable Diffusion 1.5 in float32, and twice the size of the weights on the
disk. The exit code is 1 if the relative error is above 1e-3. The weights are random, so the image has no meaning.
"""

from __future__ import annotations

import dataclasses
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from ..cli.app import run_alone
from ..errors import MiscError
from ..profiles import Profile, load_profile
from .memory import peak_memory
from .speed import PROMPT, image_of_size

__all__ = ["measure"]

LARGEST = 1e-3  # relative error
SEED, QUALITY = 7, 60
TINY = {"sd15-tile": "tiny", "sdxl-tile": "tiny-xl"}


def trial_profile(name: str, side: int, tiny: bool) -> Profile:
    """A profile whose decoder is not pinned to the real files; tiny networks are drawn by at the image's size.

    The hub's describer and locator and optional ControlNets are left out.
    """
    profile = load_profile(name)
    given = profile.decoder
    if given is None or given.text != "clip":
        raise typer.BadParameter(f"profile {name} takes nothing from a hub")
    decoder = dataclasses.replace(
        given,
        lora=dataclasses.replace(given.lora, sha256=()) if given.lora else None,
        controls=tuple(
            dataclasses.replace(each, part=dataclasses.replace(each.part, sha256=())) for each in given.controls[:1]
        ),
    )
    if tiny:
        decoder = dataclasses.replace(decoder, native=side, tile=2 * side)
    return dataclasses.replace(profile, decoder=decoder, hub={})


def measure(name: str, *, side: int, steps: int, dtype: str, tiny: bool, folder: Path) -> dict[str, Any]:
    """The whole trial: make the files in one process, fetch them in another, draw in a third that is offline.

    Args:
        side: of the image.
        dtype: `float32` or `bfloat16`.
        tiny: very small networks.
        folder: an empty working folder.

    Returns:
        The relative error of the latents, seconds and memory of each stage, and the number of bytes fetched.
    """
    from .hub.random_weights import repositories_of
    from .hub.server import HubServer

    decoder = trial_profile(name, side, tiny).decoder
    assert decoder is not None
    homes = {"HF_HOME": str(folder / "hf"), "XDG_CACHE_HOME": str(folder / "cache"), "no_proxy": "127.0.0.1,localhost"}
    options = [name, str(side), str(steps), dtype, str(int(tiny)), str(folder)]
    made = stage("make", options, homes)
    with HubServer(repositories_of(decoder, folder / "repositories")).running() as server:
        fetched = stage("fetch", options, homes | {"HF_ENDPOINT": server.url})
        requests = len(server.requests)
    drawn = stage("draw", options, homes | {"HF_HUB_OFFLINE": "1"})
    same = drawn.pop("relative error")
    return {
        "profile": name,
        "weights": "random",
        "size": "tiny" if tiny else "full",
        "image": f"{side}x{side}",
        "steps": steps,
        "type": dtype,
        "relative error": same,
        "requests": requests,
        "stages": {"make": made, "fetch": fetched, "draw": drawn},
    }


def stage(what: str, options: list[str], environment: dict[str, str]) -> dict[str, Any]:
    """A stage in a process of its own, which prints its figures."""
    command = [sys.executable, "-m", "misc.eval.full_size", "--stage", json.dumps([what, *options])]
    done = subprocess.run(command, env=os.environ | environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def run_stage(what: str, name: str, side: str, steps: str, dtype: str, tiny: str, folder: str) -> dict[str, Any]:
    """One stage, in this process."""
    began = time.perf_counter()
    profile = trial_profile(name, int(side), tiny == "1")
    if what == "make":
        figures = make(profile, tiny == "1", Path(folder))
    elif what == "fetch":
        figures = fetch(profile)
    else:
        figures = draw(profile, int(side), int(steps), dtype, Path(folder))
    return figures | {"seconds": time.perf_counter() - began, "peak_gib": peak_memory() / 2**30}


def make(profile: Profile, tiny: bool, folder: Path) -> dict[str, Any]:
    """Write the repositories of a decoder with random networks."""
    from .hub.random_weights import make_repositories
    from .random_parts import family_of

    assert profile.decoder is not None
    size = family_of(profile.decoder)
    make_repositories(profile.decoder, folder / "repositories", TINY[size] if tiny else size)
    return {}


def fetch(profile: Profile) -> dict[str, Any]:
    """Fetch the decoder through huggingface_hub."""
    from ..weights import hub

    sizes = [0]
    for part, _ in profile.hub_parts():
        hub.fetch(part)
        sizes.append(hub.size_of(part) or 0)
    return {"bytes": sum(sizes)}


def draw(profile: Profile, side: int, steps: int, dtype: str, folder: Path) -> dict[str, Any]:
    """Encode and decode an image, then draw the same with diffusers' pipeline; only one of them is in memory."""
    import torch

    from ..decoder_profile import SamplingChanges
    from ..weights import hub
    from . import reference

    ours = draw_ours(profile, side, steps, dtype, folder)
    gc.collect()
    chosen = profile.decoder
    assert chosen is not None
    folders = {part.repository: hub.locate(part) for part, _ in profile.hub_parts()}
    pipeline = reference.load_pipeline(chosen, folders, getattr(torch, dtype))
    sampling = SamplingChanges(steps=steps).apply(chosen.sampling)
    began = time.perf_counter()
    theirs = reference.latents(pipeline, [ours.condition], [PROMPT], sampling, [chosen.controls[0].scale], [SEED])
    seconds = time.perf_counter() - began
    if ours.latents.shape != theirs.shape or not bool(torch.isfinite(ours.latents).all()):
        raise MiscError(f"the latents are {tuple(ours.latents.shape)}, diffusers' {tuple(theirs.shape)}, or not finite")
    return {
        "relative error": float((ours.latents - theirs).norm() / theirs.norm()),
        "deviation of the latents": float(theirs.std()),
        "file bytes": ours.file_bytes,
        "seconds to decode": ours.seconds,
        "seconds of diffusers' latents": seconds,
    }


@dataclass(frozen=True)
class Drawn:
    """Results of the codec's decoder: the ControlNet's input image, latents, the file's size, seconds."""

    condition: Any
    latents: Any
    file_bytes: int
    seconds: float


def draw_ours(profile: Profile, side: int, steps: int, dtype: str, folder: Path) -> Drawn:
    """Encode an image, decode it, and record the intermediate results."""
    import torch

    from ..bits.text.description import Description
    from ..codec import Codec
    from ..decoder_profile import SamplingChanges
    from ..models.decoder.weights import load_decoder

    codec = Codec(profile.name, device="cpu")
    codec.profile = profile
    decoder: Any = load_decoder(profile, "cpu", dtype=getattr(torch, dtype))
    codec.decoder = decoder
    known = {"description": Description(PROMPT), "quality": QUALITY, "seed": SEED}
    data = codec.encode(image_of_size(None, side, side), streams=("text", "pixels"), verify=False, **known)
    kept = dict[str, Any]()
    condition, latents = decoder._condition, decoder.latents

    def keep_condition(scene: Any) -> Any:
        kept["condition"] = condition(scene)
        return kept["condition"]

    def keep_latents(*arguments: Any) -> Any:
        kept["latents"], frame = latents(*arguments)
        return kept["latents"], frame

    decoder._condition, decoder.latents = keep_condition, keep_latents
    began = time.perf_counter()
    image = codec.decode(data, sampling=SamplingChanges(steps=steps))
    seconds = time.perf_counter() - began
    (folder / "file.misc").write_bytes(data)
    image.save(folder / "drawn.png")
    return Drawn(kept["condition"], kept["latents"].float(), len(data), seconds)


def main(
    profile: str = "sd15-tile",
    steps: int = 2,
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16")] = "float32",
    tiny: Annotated[bool, typer.Option("--tiny", help="very small networks and a small image")] = False,
    folder: Annotated[Path | None, typer.Option(help="an empty folder to work in, which stays")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="file for the figures")] = None,
    one_stage: Annotated[str, typer.Option("--stage", hidden=True)] = "",
) -> None:
    """Try a hub profile at full size, with random weights."""
    if one_stage:
        print(json.dumps(run_stage(*json.loads(one_stage))))
        return
    if dtype not in ("float32", "bfloat16"):
        raise typer.BadParameter("float32 or bfloat16", param_hint="--dtype")
    with tempfile.TemporaryDirectory() as temporary:
        room = folder or Path(temporary)
        result = measure(profile, side=64 if tiny else 512, steps=steps, dtype=dtype, tiny=tiny, folder=room)
    print(json.dumps(result, indent=1))
    if json_file:
        json_file.write_text(json.dumps(result, indent=1) + "\n")
    if result["relative error"] > LARGEST:
        raise typer.Exit(1)


if __name__ == "__main__":
    run_alone(main)
