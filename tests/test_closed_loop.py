"""Closed-loop encoding: the seed whose image is most like the photo is written, within the budget."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from misc import closed_loop
from misc.bits.streams import Streams, reseed
from misc.bits.text.description import Description
from misc.codec import Codec
from misc.errors import InputError, WeightsError
from misc.models.towers import look
from misc.models.towers.look import Look
from tests.support.images import sample_picture

TEXT = Description("a grey cat on a mat")


class Grey:
    """Stands for the likeness: how near the mean is to that of the photo."""

    def __init__(self, semantics: object, photo: Image.Image) -> None:
        self.wanted = np.asarray(photo).mean()
        self.original = SimpleNamespace(patches=SimpleNamespace(numpy=lambda: "tokens"))

    def score(self, image: Image.Image) -> float:
        return -abs(float(np.asarray(image).mean()) - self.wanted)


class Painter:
    """Stands for the embedded decoder: seed k draws an image all of grey k."""

    settled = 0
    tokens: object = None

    def __init__(self) -> None:
        self.looked_at: list[int] = []
        self.drawn: list[int] = []

    def candidates(self, streams: Streams, count: int, tokens: object = None) -> list[int]:
        self.tokens = tokens
        return [40 * (k + 1) for k in range(count)]

    def rough(self, streams: Streams) -> np.ndarray:  # type: ignore[type-arg]
        self.looked_at.append(streams.seed)
        return np.full((3, 4, 3), min(255, streams.seed), np.uint8)

    def settle(self, streams: Streams) -> Streams:
        return Streams(streams.width, streams.height, self.settled, streams.text)

    def draw_many(self, scenes: list, **_: object) -> list:  # type: ignore[type-arg]
        self.drawn += [scene.streams.seed for scene in scenes]
        return [np.full((s.streams.height, s.streams.width, 3), min(255, s.streams.seed), np.uint8) for s in scenes]


def looked_at(monkeypatch: pytest.MonkeyPatch) -> closed_loop.Likeness:
    """The likeness to an original whose tokens are all (1, 0) and whose embedding is (1, 0)."""
    one = torch.tensor([1.0, 0.0])
    monkeypatch.setattr(look, "look_at", lambda image, semantics: Look(one.expand(16, 16, 2), one))
    return closed_loop.Likeness(SimpleNamespace(), photo(0))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tokens", "embedding", "score"),
    [
        ([[1.0, 0.0]], [1.0, 0.0], 3.0),  # the original itself
        ([[1.0, 0.0]], [0.0, 1.0], 2.0),  # CLIP sees something else
        ([[0.0, 1.0]], [1.0, 0.0], 1.0),  # neither structure nor content
        ([[1.0, 1.0], [1.0, -1.0]], [1.0, 0.0], 2 + 0.5**0.5),  # the same content, each half in another structure
    ],
)
def test_the_likeness_is_of_structure_content_and_meaning(
    monkeypatch: pytest.MonkeyPatch, tokens: list[list[float]], embedding: list[float], score: float
) -> None:
    likeness = looked_at(monkeypatch)
    rows = torch.tensor(tokens).repeat_interleave(16 // len(tokens), 0)
    seen = Look(rows[:, None].expand(16, 16, 2), torch.tensor(embedding))
    monkeypatch.setattr(likeness, "look", lambda image: seen)
    assert likeness.score(photo(9)) == pytest.approx(score, abs=1e-5)


@pytest.fixture
def codec(monkeypatch: pytest.MonkeyPatch) -> Codec:
    monkeypatch.setattr(closed_loop, "Likeness", Grey)
    ours = Codec()
    ours.__dict__.update(decoder=Painter(), semantics=SimpleNamespace(classifier=None))
    return ours


def photo(grey: int) -> Image.Image:
    return Image.new("RGB", (64, 48), (grey, grey, grey))


@pytest.mark.parametrize(("grey", "seed"), [(0, 0), (45, 40), (85, 80), (125, 120)])
def test_the_best_seed_is_written(codec: Codec, grey: int, seed: int) -> None:
    data = codec.encode(photo(grey), mode="text", description=TEXT, candidates=3)
    assert codec.streams(data).seed == seed
    assert codec.streams(data).text == TEXT


def test_few_of_a_memory_are_drawn(codec: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closed_loop, "ROUGH", 4)
    data = codec.encode(photo(130), mode="text", description=TEXT, candidates=6)
    assert codec.streams(data).seed == 120
    painter = codec.decoder
    assert isinstance(painter, Painter)
    assert painter.tokens == "tokens"
    assert painter.looked_at == [40, 80, 120, 160], "the first four as they lie in the memory"
    assert painter.drawn == [0, 120, 160], "the file as it is, and the two that are most like the photo"


def test_a_seed_that_does_not_fit_is_not_written(codec: Codec) -> None:
    least = len(codec.encode(photo(0), mode="text", description=TEXT, seed=0))
    data = codec.encode(photo(250), mode="text", description=TEXT, candidates=6, max_bytes=least + 1)
    assert len(data) <= least + 1
    assert codec.streams(data).seed == 120, "160 takes two bytes"
    tight = codec.encode(photo(250), mode="text", description=TEXT, candidates=6, max_bytes=least)
    assert (len(tight), codec.streams(tight).seed) == (least, 0)


def test_pixels_try_noises_within_the_budget(codec: Codec) -> None:
    data = codec.encode(sample_picture(64, 48), mode="pixel", max_bytes=60, candidates=4)
    assert len(data) <= 60
    assert codec.streams(data).seed in (0, 40, 80, 120, 160)


def test_a_near_tie_is_settled_without_being_asked(codec: Codec) -> None:
    codec.decoder.settled = 77  # type: ignore[union-attr]
    data = codec.encode(photo(9), mode="text", description=TEXT)
    assert codec.streams(data).seed == 77
    assert codec.streams(codec.encode(photo(9), mode="text", description=TEXT, seed=3)).seed == 3
    least = len(codec.encode(photo(9), mode="text", description=TEXT, seed=0))
    assert len(codec.encode(photo(9), mode="text", description=TEXT, max_bytes=least)) == least


def test_without_what_finds_photos_the_file_stays(codec: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(self: Painter, streams: Streams) -> Streams:
        raise WeightsError("misc pull")

    monkeypatch.setattr(Painter, "settle", missing)
    assert codec.streams(codec.encode(photo(9), mode="text", description=TEXT)).seed == 0


@pytest.mark.parametrize("options", [{"candidates": 0}, {"candidates": 2, "seed": 1}])
def test_options_that_do_not_fit(codec: Codec, options: dict[str, int]) -> None:
    with pytest.raises(InputError, match="candidates"):
        codec.encode(photo(9), mode="text", description=TEXT, **options)  # type: ignore[arg-type]


def test_another_seed_changes_nothing_else(codec: Codec) -> None:
    data = codec.encode(photo(9), mode="text", description=TEXT, seed=0)
    again = reseed(data, 2**32 - 1)
    assert codec.streams(again).seed == 2**32 - 1
    assert reseed(again, 0) == data
