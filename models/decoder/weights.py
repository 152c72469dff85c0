"""A profile's decoder from its weights: folders in diffusers' layout, of a model hub or of this project.

base/      unet/ vae/ scheduler/ tokenizer/ text_encoder/ [tokenizer_2/ text_encoder_2/]
controls:  a ControlNet each, in a repository or subfolder of its own
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ...decoder_profile import Control, DecoderProfile, HubPart
from ...errors import WeightsError
from ...weights.hub import locate
from ...weights.safe import refusing
from .int8_weights import FILE as INT8
from .int8_weights import load_int8
from .lora import add_lora
from .pickles import load_pickle
from .text_encoders import ClipText, MiniLmText, TextEncoder

if TYPE_CHECKING:
    from ...profiles import Profile
    from .decoder import ControlPart, Decoder, Parts

__all__ = ["load_decoder", "load_parts"]

PICKLE = "diffusion_pytorch_model.bin"


def load_decoder(
    profile: Profile,
    device: str | torch.device = "cpu",
    *,
    dtype: torch.dtype | None = None,
) -> Decoder:
    """The decoder of a profile, from weights that are here; nothing is fetched.

    Args:
        device: to draw on.
        dtype: other than the profile says.

    Raises:
        WeightsError: the profile has no decoder, or its weights are missing, damaged or not those of the first fetch.
    """
    chosen = decoder_table(profile)
    usual = torch.float16 if torch.device(device).type == "cuda" else torch.float32
    dtype = dtype or (getattr(torch, chosen.dtype) if chosen.dtype else usual)
    parts = load_parts(profile, dtype)
    from .cascade_weights import load_sharpener
    from .decoder import Decoder

    return Decoder(
        parts,
        chosen.sampling,
        sharpener=load_sharpener(profile, str(device)) if chosen.condition == "upsampled" else None,
        native=chosen.native,
        tile=chosen.tile,
        text_steps=chosen.text_steps,
        device=device,
        dtype=dtype,
        offload=chosen.offload,
        compile_mode=chosen.compile,
    )


def load_parts(profile: Profile, dtype: torch.dtype) -> Parts:
    """The networks of a profile's decoder, on the CPU.

    Raises:
        WeightsError: as `load_decoder`.
    """
    chosen = decoder_table(profile)
    base = locate(chosen.base)  # before anything heavy is imported
    folders = [(control, locate_control(control)) for control in chosen.controls]
    vae = locate(chosen.vae) if chosen.vae else None
    lora = locate(chosen.lora) / chosen.lora.files[0] if chosen.lora else None
    try:
        from diffusers import AutoencoderKL, UNet2DConditionModel

        from .decoder import Parts

        unet = load_network(UNet2DConditionModel, base / "unet", chosen.base.variant, dtype)
        if lora is not None:
            add_lora(unet, lora)
        return Parts(
            unet,
            load_network(AutoencoderKL, vae or base / "vae", (chosen.vae or chosen.base).variant, dtype),
            scheduler_of(chosen, base),
            text_of(profile, base, dtype),
            tuple(control_of(control, *paths, dtype) for control, paths in folders if paths is not None),
        )
    except WeightsError:
        raise
    except Exception as error:  # diffusers and transformers raise a dozen kinds for folders that they cannot read
        first = str(error).strip().partition("\n")[0][:200]
        raise WeightsError(f"the decoder of profile {profile.name} cannot be loaded: {first}") from error


def decoder_table(profile: Profile) -> DecoderProfile:
    if profile.decoder is None:
        raise WeightsError(f"profile {profile.name} has no decoder")
    return profile.decoder


def locate_control(control: Control) -> tuple[Path, Path | None] | None:
    """Folders of a control's weights and of its detector's; None if it is optional and not here."""
    try:
        return locate(control.part), locate(control.detector) if control.detector else None
    except WeightsError:
        if control.optional:
            return None
        raise


def load_network(kind: Any, folder: Path, variant: str, dtype: torch.dtype) -> Any:
    """A network of diffusers, complete and ready to use; safetensors first, a pickle is read as tensors only."""
    if (folder / INT8).is_file():
        return load_int8(kind, folder, dtype).eval().requires_grad_(False)
    pickled = folder / PICKLE
    if pickled.is_file() and not list(folder.glob("*.safetensors")):
        net = kind.from_config(kind.load_config(folder, local_files_only=True))
        state = load_pickle(pickled)
        with refusing(pickled, f"the decoder's {folder.name}"):
            net.load_state_dict(state)
        return torch.nn.Module.to(net, dtype).eval().requires_grad_(False)  # diffusers' own `to` warns
    net, report = kind.from_pretrained(
        folder,
        variant=variant or None,
        torch_dtype=dtype,
        use_safetensors=True,
        local_files_only=True,
        output_loading_info=True,
    )
    if report["missing_keys"]:  # diffusers would go on with random numbers in their place
        raise WeightsError(f"the weights in {folder.name} lack {len(report['missing_keys'])} tensors")
    return net.eval().requires_grad_(False)


def control_of(control: Control, folder: Path, detector: Path | None, dtype: torch.dtype) -> ControlPart:
    from diffusers import ControlNetModel

    from .decoder import ControlPart

    net = load_network(ControlNetModel, below(folder, control.part), control.part.variant, dtype)
    return ControlPart(net, control.kind, control.scale, detector)


def below(folder: Path, part: HubPart) -> Path:
    return folder / part.subfolder if part.subfolder else folder


def scheduler_of(chosen: DecoderProfile, base: Path) -> Any:
    """The base's scheduler, or the profile's class with the base's configuration and the profile's changes."""
    import diffusers

    config: dict[str, Any] = diffusers.DDIMScheduler.load_config(base / "scheduler", local_files_only=True)
    changes = dict(chosen.scheduler)
    name = str(changes.pop("class", config["_class_name"]))
    return getattr(diffusers, name).from_config(config, **changes)


def text_of(profile: Profile, base: Path, dtype: torch.dtype) -> TextEncoder:
    """MiniLM of the profile's packages, or the base's CLIP encoders."""
    assert profile.decoder is not None
    if profile.decoder.text == "minilm":
        from ..towers.text_features import load_text_tower

        return MiniLmText(lambda: load_text_tower(profile.packages["minilm"].sound_path()))
    from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

    variant = profile.decoder.base.variant or None
    tokenizers, models = [], []
    for suffix, kind in (("", CLIPTextModel), ("_2", CLIPTextModelWithProjection)):
        if not (base / f"text_encoder{suffix}").is_dir():
            continue
        source: Any = kind
        tokenizers.append(CLIPTokenizer.from_pretrained(base / f"tokenizer{suffix}", local_files_only=True))
        model, report = source.from_pretrained(
            base / f"text_encoder{suffix}",
            variant=variant,
            dtype=dtype,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
        if report["missing_keys"]:
            raise WeightsError(f"the text encoder lacks {len(report['missing_keys'])} tensors")
        models.append(model.eval().requires_grad_(False))
    if not models:
        raise WeightsError(f"there is no text_encoder in {base.name}")
    return ClipText(tokenizers, models)
