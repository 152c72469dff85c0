"""What the memory finds: which rows there are, what they are compared with, and what is left out."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from misc.bits.regions.maps import RegionMaps
from misc.bits.streams import Streams
from misc.bits.text.description import Description, Item
from misc.eval.recall import look_up, summarise
from misc.models.memory.store import CELLS, Cells
from misc.models.towers.look import Look

WIDTH, TOKENS = 8, 384
MASKS = RegionMaps(np.eye(8, dtype=bool)[None])


def memory() -> Any:
    """Photo k has embedding e_k and, in all cells, token e_k."""
    axes = np.eye(TOKENS, dtype=np.float32)[:WIDTH]
    values = np.eye(4, WIDTH, dtype=np.float32)[:, None, None].repeat(CELLS, 1).repeat(CELLS, 2)
    structure = Cells(values, axes, np.zeros(TOKENS, np.float32))
    return SimpleNamespace(embeddings=np.eye(4, WIDTH, dtype=np.float32), structure=structure)


class Four(SimpleNamespace):
    def __len__(self) -> int:
        return 4


def find(streams: Streams) -> int:
    """Photo 1 by the whole, 2 by items too, 3 by regions too."""
    assert streams.text is not None
    assert streams.pixels is None
    return 1 + bool(streams.text.items) + (streams.regions is not None)


def look_of(weights: list[float]) -> Look:
    embedding = torch.tensor([*weights, *[0.0] * (WIDTH - len(weights))])
    patches = torch.zeros(16, 16, TOKENS)
    patches[..., : len(weights)] = torch.tensor(weights)
    return Look(patches, embedding / embedding.norm())


@pytest.fixture
def recall() -> Any:
    return SimpleNamespace(memory=Four(**vars(memory())), find=find)


def codec(regions: RegionMaps | None) -> Any:
    return SimpleNamespace(see=lambda image: (Description("a dog", (Item("dog"),)), regions))


def test_each_row_is_what_its_streams_find(recall: Any) -> None:
    image = Image.new("RGB", (48, 32))
    figures = look_up(recall, codec(MASKS), look_of([0.1, 0.3, 0.5, 0.8]), image)
    length = float(np.linalg.norm([0.1, 0.3, 0.5, 0.8]))
    for row, share in (("dlsvc", 0.3), ("text", 0.5), ("text+map", 0.8), ("likeliest", 0.8)):
        assert figures[row]["clip"] == pytest.approx(share / length, rel=1e-5)
        assert figures[row]["structure"] == pytest.approx(share / length, rel=1e-3)
    assert figures["random"]["clip"] in [pytest.approx(share / length) for share in (0.1, 0.3, 0.5, 0.8)]
    assert "text+map" not in look_up(recall, codec(None), look_of([0.1, 0.3, 0.5, 0.8]), image)


def test_an_image_of_the_memory_is_left_out(recall: Any) -> None:
    assert look_up(recall, codec(MASKS), look_of([0.0, 1.0, 0.1]), Image.new("RGB", (48, 32))) == {}


def test_gains_are_of_the_images_that_have_both_rows() -> None:
    def row(text: float, **more: float) -> dict[str, dict[str, float]]:
        return {name: {"clip": x, "structure": 2 * x} for name, x in {"text": text, **more}.items()}

    both = {"text+map": 0.4}
    result = summarise([row(0.3, **both), {}, row(0.2, **both), row(0.9)])
    assert result["images"] == 3
    assert result["rows"]["text"] == {
        "images": 3,
        "clip": pytest.approx(1.4 / 3),
        "structure": pytest.approx(2.8 / 3),
    }
    gain = result["gains"]["text to text+map"]
    assert gain["clip"] == {"gain": pytest.approx(0.15), "error": pytest.approx(0.05)}
    assert gain["structure"]["gain"] == pytest.approx(0.3)
    assert "random to dlsvc" not in result["gains"]
