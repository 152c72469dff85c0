"""Checkpoints of the pixel stream: half-precision transforms and an integer entropy model in one safetensors file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from ...bits.pixels.entropy_model import WEIGHT_BITS, LatentModel
from ...weights.safe import load, refusing
from .hyperprior import Hyperprior
from .integers import driving_layers, exact_arrays, index_start

__all__ = ["load_hyperprior", "save_hyperprior"]


def save_hyperprior(model: Hyperprior, path: Path) -> None:
    """Write a checkpoint: transforms in half precision, the entropy model as integers, the configuration."""
    exact_names = {id(p) for layer, _ in driving_layers(model).values() for p in layer.parameters()}
    tensors = {n: p.detach().half() for n, p in model.named_parameters() if id(p) not in exact_names}
    for name, array in exact_arrays(model).items():
        small = np.abs(array).max() < 2**15
        tensors[f"exact.{name}"] = torch.from_numpy(array.astype(np.int16) if small else array)
    contiguous = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    temporary = path.with_suffix(".part")
    save_file(contiguous, temporary, {"config": json.dumps(model.config)})
    temporary.replace(path)


@torch.inference_mode(False)
def load_hyperprior(path: Path, device: str | torch.device = "cpu") -> Hyperprior:
    """The model of a checkpoint, ready to code; its entropy model has exactly the file's integers.

    Raises:
        WeightsError: the file is missing, damaged, incomplete, or not such a checkpoint.
    """
    with refusing(path, "the pixel stream"):
        weights = load(path, "pt")
        config = json.loads(weights.metadata["config"])
        older = {"features": config["hyper_channels"], "context": 3}  # of files that lack these
        model = fill(Hyperprior(**(older | config)), weights.tensors)
    model.eval().to(device)
    return model


def fill(model: Hyperprior, tensors: dict[str, Tensor]) -> Hyperprior:
    """The model with a checkpoint's tensors.

    Raises:
        KeyError, RuntimeError, WeightsError: some are missing or of other shapes.
    """
    layers = driving_layers(model)
    exact = {id(parameter) for layer, _ in layers.values() for parameter in layer.parameters()}
    wanted = {name for name, parameter in model.named_parameters() if id(parameter) not in exact}
    floats = {name: tensor.float() for name, tensor in tensors.items() if not name.startswith("exact.")}
    if floats.keys() != wanted:  # torch would use random numbers instead
        raise KeyError(f"tensors differ: {sorted(floats.keys() ^ wanted)[:3]}")
    model.load_state_dict(floats, strict=False)
    with torch.no_grad():
        for name, (layer, bits) in layers.items():
            bias = tensors[f"exact.{name}.bias"].double()
            assert layer.bias is not None
            layer.bias.copy_((bias - index_start(name, len(bias), bits)) / 2 ** (bits + WEIGHT_BITS))
            layer.weight.copy_(tensors[f"exact.{name}.weight"].double() / 2**WEIGHT_BITS)
    model.exact = LatentModel({n.removeprefix("exact."): t.numpy() for n, t in tensors.items() if n[:6] == "exact."})
    return model
