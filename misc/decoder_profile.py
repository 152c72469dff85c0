"""What a profile says of its decoder: which weights, from where, and how to sample. Imports no torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import InputError

__all__ = [
    "COLOURS",
    "COMPILE_MODES",
    "CONDITIONS",
    "DTYPES",
    "FUSIONS",
    "CascadeProfile",
    "Control",
    "DecoderProfile",
    "HubPart",
    "Sampling",
    "SamplingChanges",
    "decoder_from",
    "hub_part",
]

FUSIONS = ("regional", "sequential")
COLOURS = ("wavelet", "adain", "none")
CONDITIONS = ("draft", "upsampled")
COMPILE_MODES = ("default", "reduce-overhead", "max-autotune")  # of torch.compile; the last two use CUDA graphs
DTYPES = ("float32", "bfloat16", "float16")
MAX_STEPS = 1000


@dataclass(frozen=True)
class HubPart:
    """Weights of a model hub.

    Attributes:
        repository: its name on the hub; also an absolute path, or a path below misc/checkpoints that begins with
            `misc.checkpoints/`.
        revision: a commit; empty for whichever is newest at the first fetch.
        files: patterns of the files that are wanted; all if empty.
        subfolder: where a model lies in it.
        variant: of the file names, such as fp16.
        mirrors: repositories with the same files, as name@commit, tried in turn.
        sha256: SHA-256 of files, by their names.
        terms: address of terms that must be accepted before it is fetched; empty where the licence asks for nothing
            beforehand.
    """

    repository: str
    licence: str
    purpose: str = ""
    revision: str = ""
    files: tuple[str, ...] = ()
    subfolder: str = ""
    variant: str = ""
    mirrors: tuple[str, ...] = ()
    sha256: tuple[tuple[str, str], ...] = ()
    terms: str = ""


@dataclass(frozen=True)
class Control:
    """A ControlNet.

    Attributes:
        kind: what it is shown: `draft`, the pixel stream's image; `canny` or `hed`, the edges in that.
        scale: by which its residuals are multiplied.
        optional: left out where its weights are not here.
        detector: weights that find the edges, if any are needed.
    """

    part: HubPart
    kind: str = "draft"
    scale: float = 1.0
    optional: bool = False
    detector: HubPart | None = None


@dataclass(frozen=True)
class Sampling:
    """How an image is drawn.

    Attributes:
        steps: calls of the network.
        guidance: scale of classifier-free guidance; 1 is none.
        strength: noise in the draft that sampling starts from, above 0 to 1 (1: noise alone).
        fusion: `regional`, everything in one pass; `sequential`, a few steps an item, then a pass over the whole, as in
            MISC (arXiv 2402.16749).
        colour: how colours are taken from the pixel stream: wavelet, adain or none.
        negative: what shall not be in the image.
        eta: share of new noise in a step, 0 to 1, of schedulers that let it be chosen: DDIM's eta (arXiv 2010.02502),
            TCD's gamma (arXiv 2402.19159). diffusers' pipelines take 0 unless they are told otherwise.

    Raises:
        InputError: a value is out of its range.
    """

    steps: int
    guidance: float = 1.0
    strength: float = 1.0
    fusion: str = "regional"
    colour: str = "wavelet"
    negative: str = ""
    eta: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= MAX_STEPS:
            raise InputError(f"the number of steps is 1 to {MAX_STEPS}, not {self.steps}")
        if not 0 < self.strength <= 1:
            raise InputError(f"the strength is above 0 and at most 1, not {self.strength:g}")
        if not 1 <= self.guidance <= 100:
            raise InputError(f"the guidance is between 1 and 100, not {self.guidance:g}")
        if not 0 <= self.eta <= 1:
            raise InputError(f"eta is between 0 and 1, not {self.eta:g}")
        if self.fusion not in FUSIONS:
            raise InputError(f"there is no fusion {self.fusion!r}; there is {', '.join(FUSIONS)}")
        if self.colour not in COLOURS:
            raise InputError(f"there is no colour correction {self.colour!r}; there is {', '.join(COLOURS)}")


@dataclass(frozen=True)
class SamplingChanges:
    """What is to be other than a profile's `Sampling` says; None leaves a value as it is."""

    steps: int | None = None
    guidance: float | None = None
    strength: float | None = None
    fusion: str | None = None
    colour: str | None = None
    negative: str | None = None

    def values(self) -> dict[str, Any]:
        """The changes that are not None, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def apply(self, sampling: Sampling) -> Sampling:
        """The changed sampling; InputError if a value is out of its range."""
        return dataclasses.replace(sampling, **self.values())


@dataclass(frozen=True)
class DecoderProfile:
    """A decoder's parts.

    Attributes:
        base: UNet, VAE, scheduler, and tokenizers and text encoders unless `text` is `minilm`, in diffusers' layout.
        text: `clip`, or `minilm` of the profile's packages.
        vae: one to take instead of the base's.
        lora: one safetensors file that is added to the UNet's weights.
        scheduler: {"class": a scheduler of diffusers, ...what to change in its configuration}; the base's if empty.
        native: side of the images that it was trained on.
        tile: the longest side that is drawn in one piece.
        condition: what ControlNets and the noised start see of the pixel stream: `draft`, its own image, or
            `upsampled`, that image drawn sharp by the profile's upsampler first.
        text_steps: calls of the network for a file without pixels, if not as many as for one with.
        dtype: in which the networks run; empty for float16 on a GPU and float32 elsewhere.
        offload: keep only the network at work on the GPU: slower, and needs less of its memory.
        compile: mode of torch.compile, empty for none.

    Raises:
        InputError: there is no such condition, data type or mode.
    """

    base: HubPart
    sampling: Sampling
    controls: tuple[Control, ...] = ()
    vae: HubPart | None = None
    lora: HubPart | None = None
    text: str = "clip"
    scheduler: dict[str, Any] = field(default_factory=dict)
    native: int = 512
    tile: int = 768
    condition: str = "draft"
    text_steps: int | None = None
    dtype: str = ""
    offload: bool = False
    compile: str = ""

    def __post_init__(self) -> None:
        if self.condition not in CONDITIONS:
            raise InputError(f"there is no condition {self.condition!r}; there is {', '.join(CONDITIONS)}")
        if self.dtype not in ("", *DTYPES):
            raise InputError(f"networks run in {', '.join(DTYPES)}, not in {self.dtype!r}")
        if self.compile not in ("", *COMPILE_MODES):
            raise InputError(f"torch.compile has no mode {self.compile!r}; there is {', '.join(COMPILE_MODES)}")

    def hub_parts(self) -> list[tuple[HubPart, bool]]:
        """All that is fetched, and whether it can be done without."""
        parts = [(part, False) for part in (self.base, self.vae, self.lora) if part]
        for control in self.controls:
            parts += [(part, control.optional) for part in (control.part, control.detector) if part]
        return parts


@dataclass(frozen=True)
class CascadeProfile:
    """The embedded decoder's weights, below misc/checkpoints.

    Attributes:
        upsampler: a file, or `x4plus` for Real-ESRGAN x4plus as it comes, of the profile's packages.
        memory: a file, which draws files without pixels; without it they cannot be drawn.
        licence: of both files.
    """

    upsampler: str
    licence: str
    memory: str = ""


def hub_part(table: Mapping[str, Any]) -> HubPart:
    """From a table of a profile."""
    lists: dict[str, Any] = {name: tuple(table[name]) for name in ("files", "mirrors") if name in table}
    return HubPart(**{**table, **lists, "sha256": tuple(table.get("sha256", {}).items())})


def decoder_from(table: Mapping[str, Any]) -> DecoderProfile:
    """From the table `decoder` of a profile."""
    own = dict(table)
    controls = tuple(
        Control(
            hub_part(each["part"]),
            **{name: each[name] for name in ("kind", "scale", "optional") if name in each},
            detector=hub_part(each["detector"]) if "detector" in each else None,
        )
        for each in own.pop("controls", ())
    )
    more: dict[str, Any] = {name: hub_part(own.pop(name)) for name in ("vae", "lora") if name in own}
    return DecoderProfile(hub_part(own.pop("base")), Sampling(**own.pop("sampling")), controls=controls, **more, **own)
