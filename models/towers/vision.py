"""The vision tower of the embedded describer and locator: a ViT-S/14 (DINOv2's layout), from an ONNX file.

image ─► resized, ImageNet-normalised ─► VisionTransformer ─► (rows, columns, 384) patch tokens
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from ...configs import build, read_config
from ...weights.safe import refusing
from .vit import VisionTransformer, rename

__all__ = ["GRID", "PATCH", "WIDTH", "load_vision_tower", "patch_tokens", "to_input"]

CONFIG = read_config("vit-s14")
PATCH, WIDTH = int(CONFIG["patch"]), int(CONFIG["width"])
GRID = 16  # patches along a side of the usual input, which has 224 x 224 pixels
MEAN, STD = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)
CLASS_POSITION, PATCH_POSITIONS = "onnx::Concat_1957", "onnx::Reshape_1962"


def load_vision_tower(path: Path) -> VisionTransformer:
    """The frozen tower of an ONNX file whose initialisers have Hugging Face's names or their nodes' paths.

    Raises:
        WeightsError: the file is missing, damaged or holds another network.
    """
    with refusing(path, "the vision tower"):
        with torch.device("meta"):  # avoids a random initialisation
            model = build(VisionTransformer, CONFIG)
        arrays = {rename(name): torch.from_numpy(array) for name, array in read_arrays(path).items()}
        model.load_state_dict(arrays, assign=True)
    model.eval().requires_grad_(False)
    return model


def read_arrays(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    """The tower's arrays in an ONNX file, by their names at Hugging Face; other files raise errors of many kinds."""
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


def to_input(image: Image.Image, rows: int = GRID, columns: int = GRID) -> Tensor:
    """(3, 14 rows, 14 columns) normalised pixels of an RGB image, stretched to that size."""
    resized = image.convert("RGB").resize((columns * PATCH, rows * PATCH), Image.Resampling.BICUBIC)
    pixels: npt.NDArray[np.float32] = np.asarray(resized, np.float32) / 255
    return torch.from_numpy((pixels - MEAN) / STD).permute(2, 0, 1)


@torch.inference_mode()
def patch_tokens(model: VisionTransformer, inputs: Tensor) -> Tensor:
    """(B, rows, columns, 384) float tokens of inputs (B, 3, 14 rows, 14 columns)."""
    device = next(model.parameters()).device
    with torch.autocast(device.type, torch.bfloat16):
        tokens = model(inputs.to(device))[:, 1:]
    rows, columns = (side // PATCH for side in inputs.shape[2:])
    grid: Tensor = tokens.float().unflatten(1, (rows, columns))
    return grid
