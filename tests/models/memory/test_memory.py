"""The memory: kept, found by text and regions, drawn from."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from misc.bits.pixels.latents import pack
from misc.bits.regions.maps import RegionMaps
from misc.bits.streams import Streams
from misc.bits.text.description import Description, Item
from misc.errors import WeightsError
from misc.models.hyperprior.hyperprior import Hyperprior
from misc.models.memory.build import find_axes
from misc.models.memory.recall import Recall
from misc.models.memory.search import BIAS, CORRELATION, COVER, SCALE, expect, score_layout, score_structure
from misc.models.memory.store import AXES, CELLS, Cells, Memory, load_memory, pack_memory

PHOTOS, WIDTH = 6, 256


@pytest.fixture(scope="module")
def hyperprior() -> Hyperprior:
    torch.manual_seed(0)
    model = Hyperprior((8, 8, 8, 8), (3, 5), 4, 8, features=8, context=3).eval()
    model.update()
    return model


def unit(number: int) -> np.ndarray:
    return np.eye(WIDTH, dtype=np.float32)[number]


@pytest.fixture(scope="module")
def memory(hyperprior: Hyperprior) -> Memory:
    """Photo k is all of grey 30 k, of embedding e_k; its upper half shows e_(10 + k), its lower half e_(20 + k)."""
    places = np.zeros((PHOTOS, CELLS, CELLS, WIDTH), np.float32)
    for k in range(PHOTOS):
        places[k, :2], places[k, 2:] = unit(10 + k), unit(20 + k)
    axes = np.eye(WIDTH, dtype=np.float32)[:AXES]
    cells = Cells(places @ axes.T, axes, np.zeros(WIDTH, np.float32))
    draw = np.random.default_rng(0)
    structure = Cells(
        draw.normal(size=(PHOTOS, CELLS, CELLS, AXES)).astype(np.float32),
        np.eye(384, dtype=np.float32)[:AXES],
        np.zeros(384, np.float32),
    )
    images = [np.full((64, 64 + 32 * (k % 2), 3), 30 * k, np.uint8) for k in range(PHOTOS)]
    latents = tuple(pack(hyperprior.analyse(image, 100), hyperprior.entropy_model) for image in images)
    sizes = np.array([(image.shape[1], image.shape[0]) for image in images], np.uint16)
    embeddings = np.stack([unit(k) for k in range(PHOTOS)])
    return Memory(embeddings, cells, structure, sizes, latents, hyperprior.entropy_model.checksum)


def embed(texts: Sequence[str]) -> Tensor:
    """Text "3" is e_3; "1+2" lies between both."""
    rows = [sum(unit(int(part)) for part in text.split("+") if part) + np.zeros(WIDTH) for text in texts]
    return torch.from_numpy(np.stack([row / max(1e-6, float(np.linalg.norm(row))) for row in rows])).float()


@pytest.fixture(scope="module")
def recall(memory: Memory, hyperprior: Hyperprior) -> Recall:
    return Recall(memory, hyperprior, embed)


def of_text(text: str, *names: str, seed: int = 0, regions: RegionMaps | None = None) -> Streams:
    return Streams(64, 64, seed, Description(text, tuple(map(Item, names))), regions)


def test_a_memory_comes_back(memory: Memory, tmp_path: Path) -> None:
    (tmp_path / "m.safetensors").write_bytes(pack_memory(memory))
    again = load_memory(tmp_path / "m.safetensors")
    assert again.latents == memory.latents
    assert again.checksum == memory.checksum
    np.testing.assert_array_equal(again.sizes, memory.sizes)
    for name in ("places", "structure"):
        a, b = getattr(again, name), getattr(memory, name)
        np.testing.assert_allclose(a.values, b.values, atol=np.abs(b.values).max() / 127)
        np.testing.assert_array_equal(a.axes, b.axes)
    np.testing.assert_allclose(again.embeddings, memory.embeddings, atol=1 / 127)


def test_a_damaged_memory_is_refused(memory: Memory, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    with pytest.raises(WeightsError, match="missing"):
        load_memory(path)
    path.write_bytes(pack_memory(memory))
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(WeightsError, match="damaged"):
        load_memory(path)


def test_another_hyperprior_is_refused(memory: Memory, hyperprior: Hyperprior) -> None:
    with pytest.raises(WeightsError, match="another hyperprior"):
        Recall(dataclasses.replace(memory, checksum=memory.checksum ^ 1), hyperprior, embed)


def test_the_text_finds_its_photo(recall: Recall) -> None:
    assert [recall.find(of_text(str(k))) for k in range(PHOTOS)] == list(range(PHOTOS))


def test_names_help_the_text(recall: Recall) -> None:
    assert recall.find(of_text("1+2", "2")) == 2
    assert recall.find(of_text("1+2", "1")) == 1
    assert recall.find(of_text("", "4")) == 4


def test_the_seed_names_a_photo_whatever_the_text_says(recall: Recall) -> None:
    assert recall.find(of_text("1", seed=5)) == 4
    assert recall.find(of_text("1", seed=PHOTOS + 1)) == 1, "no such photo: the text decides"


def test_regions_say_where(memory: Memory) -> None:
    above = np.zeros((1, 8, 8), bool)
    above[0, :4] = True
    names = unit(13)[None]  # what photo 3 shows in its upper half
    scores = score_layout(memory, names, RegionMaps(above))
    assert scores.argmax() == 3
    shown, hidden = (1 / (1 + np.exp(-(SCALE * cosine + BIAS))) for cosine in (1, 0))
    there, not_there = np.log(min(shown, 0.999)), np.log(1 - hidden)
    assert scores[3] == pytest.approx(CORRELATION + COVER * (there + not_there) / 2, abs=1e-4)
    assert scores[5] == pytest.approx(COVER * (np.log(hidden) + not_there) / 2, abs=1e-4), "shows it nowhere"
    scores = score_layout(memory, names, RegionMaps(~above))
    assert scores.argmin() == 3
    elsewhere = np.log(0.001) + np.log(hidden)
    assert scores[3] == pytest.approx(-CORRELATION + COVER * elsewhere / 2, abs=1e-4)
    two = score_layout(memory, np.stack([unit(13), unit(24)]), RegionMaps(np.concatenate([above, ~above])))
    assert set(np.argsort(-two)[:2]) == {3, 4}, "each shows one of both where it should be"
    assert not score_layout(memory, names, RegionMaps(np.zeros((1, 8, 8), bool))).any()


def test_of_photos_that_fit_about_as_well_the_one_like_the_others_is_taken(memory: Memory) -> None:
    alone, pair = unit(0), np.stack([0.9 * unit(1) + 0.43 * unit(2), 0.9 * unit(1) + 0.43 * unit(3)])
    embeddings = np.concatenate([alone[None], pair, np.stack([unit(k) for k in range(5, PHOTOS + 2)])])
    crowded = dataclasses.replace(memory, embeddings=embeddings[:PHOTOS])
    evidence = np.zeros(PHOTOS, np.float32)
    evidence[:3] = 0.51, 0.5, 0.5
    assert expect(crowded, evidence).argmax() in (1, 2)
    evidence[0] = 0.6
    assert expect(crowded, evidence).argmax() == 0, "one that fits far better is taken"
    likeness = expect(crowded, evidence)
    assert likeness.max() <= 1 + 1e-6
    assert likeness[0] > 0.85


def test_regions_choose_between_photos_that_the_text_likes_alike(recall: Recall) -> None:
    above = np.zeros((1, 8, 8), bool)
    above[0, :4] = True
    for name, shown in ((13, 3), (14, 4)):
        assert recall.find(of_text("3+4", str(name), regions=RegionMaps(above))) == shown
        assert recall.find(of_text("3+4", str(name), regions=RegionMaps(~above))) == 7 - shown


def test_structure_finds_the_same_photo(memory: Memory) -> None:
    tokens = np.zeros((16, 16, 384), np.float32)
    tokens[..., :AXES] = memory.structure.values[2].repeat(4, 0).repeat(4, 1)
    scores = score_structure(memory, tokens)
    assert scores.argmax() == 2
    assert scores[2] == pytest.approx(1, abs=1e-4)


def test_candidates_come_by_text_or_by_likeness(recall: Recall, memory: Memory) -> None:
    assert recall.candidates(of_text("3"), 1) == [4]
    tokens = np.zeros((16, 16, 384), np.float32)
    tokens[..., :AXES] = memory.structure.values[2].repeat(4, 0).repeat(4, 1)
    assert recall.candidates(of_text("3"), PHOTOS, tokens)[0] == 3
    assert 3 not in recall.candidates(of_text("4+5"), 2, tokens)


def test_a_near_tie_is_settled_by_the_encoder(recall: Recall) -> None:
    assert recall.settle(of_text("3")).seed == 0
    tied = recall.settle(of_text("1+2"))
    assert tied.seed - 1 == recall.find(of_text("1+2"))
    assert tied.seed in (2, 3)


def test_a_photo_is_cut_to_shape(recall: Recall, memory: Memory, hyperprior: Hyperprior) -> None:
    assert recall.photo(1, 64, 64).shape == (64, 64, 3)
    assert recall.photo(1, 40, 120).shape == (120, 40, 3)
    assert recall.photo(1, 4000, 2000).shape == (384, 768, 3), "no larger than is worth drawing"
    assert recall.photo(1, 187, 100).shape == (100, 187, 3), "rounding puts its edge beside the photo's"
    dark, light = (recall.draft(of_text(str(k))).mean() for k in (0, 5))
    assert not np.array_equal(recall.photo(0, 64, 64), recall.photo(5, 64, 64))
    assert dark != light


def test_axes_keep_what_differs_most() -> None:
    draw = np.random.default_rng(0)
    basis = np.linalg.qr(draw.normal(size=(96, 96)))[0][:AXES].astype(np.float32)
    values = draw.normal(size=(40, CELLS, CELLS, AXES)).astype(np.float32)
    tokens = values @ basis + 3
    cells = find_axes(tokens)
    np.testing.assert_allclose(cells.values @ cells.axes + cells.mean, tokens, atol=1e-3)
    np.testing.assert_allclose(cells.axes @ cells.axes.T, np.eye(AXES), atol=1e-5)
    np.testing.assert_allclose(cells.project(tokens[0]), cells.values[0], atol=1e-3)
