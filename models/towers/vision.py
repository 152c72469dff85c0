"""The vision tower of the embedded describer and locator: a ViT-S/14 (DINOv2's layout), from an ONNX file.

image ─► resized, ImageNet-normalised ─► Dinov2Model ─► (rows, columns, 384) patch tokens
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from transformers import Dinov2Config, Dinov2Model

from ...configs import read_config
from ...weights.safe import refusing

__all__ = ["PATCH", "WIDTH", "load_vision_tower", "patch_tokens", "to_input"]

CONFIG = read_config("vit-s14")
PATCH, WIDTH = int(CONFIG["patch_size"]), int(CONFIG["hidden_size"])
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)
CLASS_POSITION, PATCH_POSITIONS = "onnx::Concat_1957", "onnx::Reshape_1962"
NEW_NAMES = {
    "attention.attention.query": "attention.q_proj",
    "attention.attention.key": "attention.k_proj",
    "attention.attention.value": "attention.v_proj",
    "attention.output.dense": "attention.o_proj",
}


def load_vision_tower(path: Path) -> Dinov2Model:
    """The frozen tower of an ONNX file whose initialisers have Hugging Face's names or their nodes' paths.

    Raises:
        WeightsError: the file is missing, damaged or holds another network.
    """
    with refusing(path, "the vision tower"):
        model: Dinov2Model = Dinov2Model(Dinov2Config(**CONFIG))
        wanted = model.state_dict()
        renamed = {rename(name, wanted): torch.from_numpy(array) for name, array in read_arrays(path).items()}
        missing, unexpected = model.load_state_dict(renamed, strict=False)
        if unexpected or set(missing) - {"embeddings.mask_token"}:
            raise KeyError(f"tensors differ: {[*missing, *unexpected][:3]}")
    model.eval().requires_grad_(False)
    return model


def read_arrays(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    """The tower's arrays in an ONNX file, by the names that Hugging Face gave them; raises all kinds of errors."""
    import onnx

    graph = onnx.load(path).graph
    arrays = {entry.name: onnx.numpy_helper.to_array(entry) for entry in graph.initializer}
    state = {name.removeprefix("backbone."): array for name, array in arrays.items() if name.startswith("backbone.")}
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in arrays and node.name.startswith("/backbone/encoder/"):
            place = node.name.removeprefix("/backbone/").removesuffix("/MatMul").replace("/", ".")
            state[f"{place}.weight"] = arrays[node.input[1]].T
    state["embeddings.position_embeddings"] = np.concatenate([arrays[CLASS_POSITION], arrays[PATCH_POSITIONS]], 1)
    return {name: np.array(array) for name, array in state.items()}


def rename(name: str, wanted: dict[str, Tensor]) -> str:
    """The name that this version of transformers gives a parameter."""
    if name in wanted:
        return name
    for old, new in NEW_NAMES.items():
        name = name.replace(old, new)
    return name if name in wanted else name.replace("encoder.layer.", "layers.")


def to_input(image: Image.Image, rows: int, columns: int) -> Tensor:
    """(3, 14 rows, 14 columns) normalised pixels of an RGB image, stretched to that size."""
    resized = image.convert("RGB").resize((columns * PATCH, rows * PATCH), Image.Resampling.BICUBIC)
    pixels: npt.NDArray[np.float32] = np.asarray(resized, np.float32) / 255
    return torch.from_numpy((pixels - MEAN) / DEVIATION).permute(2, 0, 1)


@torch.inference_mode()
def patch_tokens(model: Dinov2Model, inputs: Tensor) -> Tensor:
    """(B, rows, columns, 384) float tokens of inputs (B, 3, 14 rows, 14 columns)."""
    device = next(model.parameters()).device
    with torch.autocast(device.type, torch.bfloat16):
        tokens = model(inputs.to(device)).last_hidden_state[:, 1:]
    rows, columns = (side // PATCH for side in inputs.shape[2:])
    grid: Tensor = tokens.float().unflatten(1, (rows, columns))
    return grid
