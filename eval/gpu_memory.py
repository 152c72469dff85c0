"""Count the GPU memory that hub profiles need, on any machine: python -m misc.eval.gpu_memory [--json FILE]

    networks of full size on the meta device ─┬─► their weights
                                              └─► one call of each: the most bytes of tensors that live at once

Nothing is measured and no weights are needed: tensors on the meta device have sizes but no content. Attention is
counted without its matrix, as in the fused kernels of a GPU. CUDA's context, workspaces of its libraries, and gaps
between tensors are not counted; `SPARE` is added for them, which is a guess.
"""

from __future__ import annotations

import contextlib
import gc
import json
import math
import weakref
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from unittest import mock

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from ..cli.app import run_alone
from ..configs import read_config
from ..decoder_profile import DecoderProfile
from ..models.decoder.cascade_weights import X4PLUS_CONFIG
from ..models.decoder.denoiser import Denoiser
from ..models.decoder.sharpen import TILE
from ..models.decoder.upsampler import FACTOR, Upsampler
from ..profiles import load_profile, profile_names
from .random_parts import family_of, random_parts

__all__ = ["Part", "decoding", "encoding", "peak_bytes"]

GIB = 2**30
SPARE = 1.0  # GiB
BLOCK = 512  # torch's CUDA allocator rounds up to multiples of this many bytes
HALF = torch.float16
TEXTS = 4  # the overall sentence, and three items
META = torch.device("meta")
UPSAMPLER = "upsampler"
QWEN = {  # Qwen2.5-VL-7B-Instruct's config.json
    "text_config": {
        "hidden_size": 3584,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "intermediate_size": 18944,
        "vocab_size": 152064,
        "tie_word_embeddings": False,
    },
    "vision_config": {
        "depth": 32,
        "hidden_size": 1280,
        "intermediate_size": 3420,
        "num_heads": 16,
        "out_hidden_size": 3584,
    },
}
CLIPS = {"laion/CLIP-ViT-B-16-laion2B-s34B-b88K": "ViT-B-16", "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k": "ViT-bigG-14"}


@dataclass(frozen=True)
class Part:
    """One network during a call.

    Attributes:
        parameters: their number.
        weights: their bytes.
        activations: peak bytes of all other tensors, with inputs and results.
    """

    name: str
    parameters: int
    weights: int
    activations: int = 0


class Attention(TorchFunctionMode):
    """Attention that allocates only its result, as a fused kernel does."""

    def __torch_function__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        """Attention is replaced, everything else is called."""
        if function is functional.scaled_dot_product_attention:
            query, _, value = arguments[:3]
            return query.new_empty((*query.shape[:-1], value.shape[-1]))
        return function(*arguments, **(options or {}))


class LiveBytes(TorchDispatchMode):
    """Adds up the bytes of all live tensors that operations create."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        """Call the operation and count the tensors that it creates."""
        result = function(*arguments, **(options or {}))
        tree_map_only(Tensor, self.add, result)
        return result

    def add(self, tensor: Tensor) -> Tensor:
        """Count a tensor, once for all views of it."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if tensor.device.type == "meta" and key not in self.known and storage.nbytes():
            size = math.ceil(storage.nbytes() / BLOCK) * BLOCK
            self.known.add(key)
            self.live += size
            self.peak = max(self.peak, self.live)
            weakref.finalize(storage, self.release, key, size)
        return tensor

    def release(self, key: int, size: int) -> None:
        """A tensor's memory is free again."""
        self.known.discard(key)
        self.live -= size


@torch.inference_mode()
def peak_bytes(call: Callable[[], object], *networks: nn.Module) -> int:
    """Peak bytes of live tensors during a call on the meta device, without the networks' weights."""
    counter = LiveBytes()
    counter.known |= {each.untyped_storage()._cdata for net in networks for each in (*net.parameters(), *net.buffers())}
    with Attention(), counter:
        call()
    return counter.peak


def part(name: str, network: nn.Module, call: Callable[[], object] | None = None) -> Part:
    """The memory of a network on the meta device during one call."""
    count = sum(each.numel() for each in network.parameters())
    weights = sum(each.numel() * each.element_size() for each in (*network.parameters(), *network.buffers()))
    return Part(name, count, weights, peak_bytes(call, network) if call else 0)


def empty(*shape: int, dtype: torch.dtype = HALF) -> Tensor:
    """A tensor without content."""
    return torch.empty(shape, device=META, dtype=dtype)


def decoding(profile: DecoderProfile, side: int, *, size: str = "", controls: int | None = None) -> list[Part]:
    """The networks that draw a square image of `side` pixels in one piece, in half precision, regions in it.

    Args:
        size: of `random_parts`; the profile's own if empty.
        controls: ControlNets; all of the profile if None.
    """
    size = size or family_of(profile)
    count = len(profile.controls) if controls is None else controls
    parts = random_parts(size, controls=count, device="meta")
    denoiser = Denoiser(parts.unet, [each.net for each in parts.controls]).to(HALF)
    vae: Any = nn.Module.to(parts.vae, HALF)
    twice = 2 if profile.sampling.guidance > 1 else 1
    cells = side // 2 ** (len(parts.vae.config.block_out_channels) - 1)
    large = parts.unet.config.addition_embed_type == "text_time"
    width = int(parts.unet.config.cross_attention_dim)
    tokens = 77 * TEXTS
    added = None
    if large:
        ids = int(parts.unet.config.addition_time_embed_dim) * 6
        pooled = int(parts.unet.config.projection_class_embeddings_input_dim) - ids
        added = {"text_embeds": empty(twice, pooled), "time_ids": empty(twice, 6)}

    def step() -> object:
        bias = {
            (cells >> level) ** 2: empty(twice, 1, (cells >> level) ** 2, tokens) for level in range(denoiser.levels)
        }
        shown = [empty(twice, 3, side, side) for _ in parts.controls]
        time = torch.zeros((), device=META)
        return denoiser(
            empty(1, 4, cells, cells), time, empty(twice, tokens, width), bias, shown, added, profile.sampling.guidance
        )

    found = [part(f"UNet, {count} ControlNet{'s' * (count > 1)}", denoiser, step)]
    ids = torch.zeros((TEXTS * twice, 77), dtype=torch.long, device=META)
    for model in parts.text.models:
        model.to(HALF)
        found.append(part(f"text encoder, {model.config.hidden_size} wide", model, partial(model, ids)))
    latents, image = empty(1, 4, cells, cells), empty(1, 3, side, side)
    coder, decoder = part("VAE", vae, partial(vae.encode, image)), part("VAE", vae, partial(vae.decode, latents))
    found.append(max(coder, decoder, key=lambda each: each.activations))
    if profile.condition == "upsampled":
        found.append(upsampler(min(side, TILE * FACTOR)))
    return found


def upsampler(side: int) -> Part:
    """The embedded upsampler: weights in float32 and, for autocast, in half precision too; activations in half."""
    with META:
        network = Upsampler(**read_config(X4PLUS_CONFIG)).to(HALF)
    network.last.float()
    cells = side // FACTOR
    inputs = (empty(1, 3, side, side), empty(1), empty(1, 1, cells, cells))
    with mock.patch("torch.autocast", return_value=contextlib.nullcontext()):  # the meta device has none
        counted = part(UPSAMPLER, network, partial(network, *inputs))
    return Part(counted.name, counted.parameters, 6 * counted.parameters, counted.activations)


def encoding(name: str) -> list[Part]:
    """The hub's describer and locator of a profile: only their weights, in the type in which they are loaded."""
    import open_clip
    from transformers import AutoModelForImageTextToText, Qwen2_5_VLConfig

    hub = load_profile(name).hub
    with META:
        describer = AutoModelForImageTextToText.from_config(Qwen2_5_VLConfig(**QWEN), dtype=torch.bfloat16)
        locator = open_clip.create_model(CLIPS[hub["locator"].repository], device="meta", load_weights=False)
    return [part(hub["describer"].repository, describer), part(hub["locator"].repository, locator)]


def totals(parts: Sequence[Part]) -> dict[str, float]:
    """GiB with all networks on the GPU, and with only the active one and the upsampler (`Decoder(offload=True)`)."""
    stays = sum(each.weights for each in parts if each.name == UPSAMPLER)
    needs = [each.activations + (stays if each.name == UPSAMPLER else stays + each.weights) for each in parts]
    return {
        "at once": (sum(each.weights for each in parts) + max(each.activations for each in parts)) / GIB + SPARE,
        "one at a time": max(needs) / GIB + SPARE,
    }


def count(name: str) -> dict[str, Any]:
    """All figures of a profile: drawing at the size that it was trained at and at that of a tile, and seeing."""
    profile = load_profile(name).decoder
    assert profile is not None
    drawing = []
    for side in (profile.native, profile.tile):
        for controls in dict.fromkeys((1, len(profile.controls))):
            parts = decoding(profile, side, controls=controls)
            sizes = {"side": side, "controls": controls, **totals(parts)}
            drawing.append(sizes | {"parts": [asdict(each) for each in parts]})
            gc.collect()
    return {"drawing": drawing, "seeing": [asdict(each) for each in encoding(name)]}


def show(result: dict[str, Any], console: Console) -> None:
    """Print a table for drawing and one for seeing."""
    drawing, seeing = Table(title="drawing: GiB"), Table(title="seeing: GiB of weights")
    for column in ("profile", "side", "ControlNets", "all at once", "one at a time"):
        drawing.add_column(column)
    for column in ("profile", "network", "parameters", "GiB"):
        seeing.add_column(column)
    for name, figures in result["profiles"].items():
        for row in figures["drawing"]:
            sizes = (f"{row[key]:.1f}" for key in ("at once", "one at a time"))
            drawing.add_row(name, str(row["side"]), str(row["controls"]), *sizes)
        for row in figures["seeing"]:
            seeing.add_row(name, row["name"], f"{row['parameters'] / 1e6:.1f} M", f"{row['weights'] / GIB:.1f}")
    for table in (drawing, seeing):
        console.print(table)


def main(
    profile: Annotated[list[str] | None, typer.Option(help="which; all of the hub if none is given")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="file for the figures")] = None,
) -> None:
    """Count the GPU memory that hub profiles need."""
    names = profile or [name for name in profile_names() if load_profile(name).decoder]
    result = {"spare GiB": SPARE, "measured": False, "profiles": {name: count(name) for name in names}}
    show(result, Console())
    if json_file:
        json_file.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    run_alone(main)
