"""The decoder's part of a profile: its weights, their sources, and the sampling. Imports no torch."""

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
    "X4PLUS",
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
    """Weights from a model hub.

    Attributes:
        repository: its name on the hub; also an absolute path, or a path below misc/checkpoints that begins with
            `misc.checkpoints/`.
        revision: a commit; if empty, the newest at the first download.
        files: patterns of the files to fetch; all if empty.
        subfolder: folder of the model in the repository.
        variant: of the file names, such as fp16.
        mirrors: repositories with the same files, as name@commit, tried in turn.
        sha256: SHA-256 of files, by their names.
        terms: address of terms that the user must accept before the download; empty if there are none.
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
        kind: its input: `draft`, the pixel stream's image; `canny` or `hed`, the edges in that image.
        scale: factor of its residuals, usually 0 to 1.
        optional: leave it out if its weights are missing.
        detector: weights of the edge detector, if it needs any.
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
        strength: share of noise in the draft from which sampling starts, above 0 and up to 1 (1: only noise).
        fusion: `regional`, everything in one pass; `sequential`, a few steps for each item, then a pass over the whole
            image, as in MISC (arXiv 2402.16749).
        colour: how colours are taken from the pixel stream: wavelet, adain or none.
        negative: the negative prompt.
        eta: share of new noise in a step, 0 to 1, for schedulers with such a parameter: DDIM's eta (arXiv 2010.02502),
            TCD's gamma (arXiv 2402.19159). The default of diffusers' pipelines is 0.

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
    """Changes of a profile's `Sampling`; None leaves a value as it is."""

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
        vae: a VAE to use instead of the base's.
        lora: a safetensors file that is added to the UNet's weights.
        scheduler: {"class": a scheduler of diffusers, ...changes of its configuration}; the base's if empty.
        native: side of the training images in pixels.
        tile: the longest side that is drawn in one piece, in pixels.
        condition: input of the ControlNets and of the noised start: `draft`, the pixel stream's own image, or
            `upsampled`, that image after the profile's upsampler.
        text_steps: number of steps for a file without pixels, if it differs from `steps`.
        dtype: data type of the networks; if empty, float16 on a GPU and float32 elsewhere.
        offload: keep only the active network on the GPU; this is slower and needs less GPU memory.
        compile: mode of torch.compile; empty for none.

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
        """All parts to fetch, and whether each is optional."""
        parts = [(part, False) for part in (self.base, self.vae, self.lora) if part]
        for control in self.controls:
            parts += [(part, control.optional) for part in (control.part, control.detector) if part]
        return parts


X4PLUS = "x4plus"


@dataclass(frozen=True)
class CascadeProfile:
    """The embedded decoder's weights, below misc/checkpoints.

    Attributes:
        upsampler: a file, or `x4plus` for unmodified Real-ESRGAN x4plus from the profile's packages.
        memory: a file with the photos for files without pixels; without it such files cannot be drawn.
        licence: of these files.
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
