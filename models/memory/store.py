"""The memory on disk: the data of each photo, written and read.

    photo ─┬─► hyperprior ─► latents, some 900 bytes in the exact coder ──► the draft
           ├─► CLIP ───────► embedding (256), 4 x 4 cells of 48 numbers ──► search by text and regions
           └─► vision tower ► 4 x 4 cells of 48 numbers ──────────────────► comparison with the original by an encoder

All numbers are int8 with one scale per array. A cell is the mean of its patches, in the first principal components.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from ...weights.safe import load, refusing

__all__ = ["CELLS", "Cells", "Memory", "load_memory", "pack_memory"]

CELLS = 4  # along each side of a photo
AXES = 48
LEVELS = 127

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Cells:
    """Cells of photos in their first principal components.

    Attributes:
        values: (photos, 4, 4, 48).
        axes: (48, C), orthonormal.
        mean: (C,) of all cells.
    """

    values: Floats
    axes: Floats
    mean: Floats

    def project(self, tokens: Floats) -> Floats:
        """Tokens (..., C) in the principal components, (..., 48)."""
        projected: Floats = (tokens - self.mean) @ self.axes.T
        return projected

    def restore(self) -> Floats:
        """(photos, 4, 4, C): the cells of all photos, reconstructed from the principal components."""
        restored: Floats = self.values @ self.axes + self.mean
        return restored


@dataclass(frozen=True)
class Memory:
    """Photos from which files without pixels are drawn.

    Attributes:
        embeddings: (photos, 256) of the embedded CLIP, of length about 1.
        places: cells of its dense embeddings.
        structure: cells of the vision tower's tokens.
        sizes: (photos, 2) width and height.
        latents: the pixel stream of each photo.
        checksum: of the entropy model that decodes them.
    """

    embeddings: Floats
    places: Cells
    structure: Cells
    sizes: npt.NDArray[np.uint16]
    latents: tuple[bytes, ...]
    checksum: int

    def __len__(self) -> int:
        return len(self.latents)


def pack_memory(memory: Memory) -> bytes:
    """A memory as a safetensors file, about 2.8 kB per photo."""
    tensors: dict[str, npt.NDArray[np.generic]] = {
        "sizes": memory.sizes,
        "latents": np.frombuffer(b"".join(memory.latents), np.uint8),
        "ends": np.cumsum([len(each) for each in memory.latents]).astype(np.int64),
    }
    scales = {}
    for name, values in (
        ("embeddings", memory.embeddings),
        ("places", memory.places.values),
        ("structure", memory.structure.values),
    ):
        scale = float(np.abs(values).max()) / LEVELS
        tensors[name] = np.rint(values / scale).astype(np.int8)
        scales[name] = scale
    for name, cells in (("places", memory.places), ("structure", memory.structure)):
        tensors[f"{name}.axes"], tensors[f"{name}.mean"] = cells.axes, cells.mean
    facts = {"scales": scales, "checksum": memory.checksum}
    packed: bytes = save(tensors, {"memory": json.dumps(facts)})
    return packed


def load_memory(path: Path) -> Memory:
    """A memory that `pack_memory` wrote.

    Raises:
        WeightsError: the file is missing, damaged, or not a memory.
    """
    with refusing(path, "the memory"):
        weights = load(path)
        facts, tensors = json.loads(weights.metadata["memory"]), weights.tensors
        values = {name: tensors[name].astype(np.float32) * scale for name, scale in facts["scales"].items()}
        places, structure = (
            Cells(values[name], tensors[f"{name}.axes"], tensors[f"{name}.mean"]) for name in ("places", "structure")
        )
        blob, ends = tensors["latents"].tobytes(), tensors["ends"].tolist()
        latents = tuple(blob[begin:end] for begin, end in zip([0, *ends], ends, strict=False))
        return Memory(values["embeddings"], places, structure, tensors["sizes"], latents, facts["checksum"])
