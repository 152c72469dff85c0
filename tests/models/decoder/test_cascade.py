"""The embedded decoder: drafts drawn sharp, and files without pixels drawn from a memory."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import numpy as np
import pytest
import torch

from misc.bits.pixels.latents import PixelLatents
from misc.bits.streams import Streams
from misc.bits.text.description import Description
from misc.errors import InputError, WeightsError
from misc.models.decoder.cascade import Cascade
from misc.models.decoder.cascade_weights import load_cascade
from misc.models.decoder.scene import Scene
from misc.models.decoder.sharpen import Sharpener
from misc.models.decoder.upsampler import Upsampler
from misc.models.decoder.upsampler_weights import save_upsampler
from misc.profiles import load_profile

LATENTS = PixelLatents(150, np.zeros((1, 1, 1), np.int32), np.zeros((1, 1, 1), np.int32))


class Photos:
    """Stands for a memory of three photos; the text's length says which is the likeliest."""

    memory = range(3)

    def find(self, streams: Streams) -> int:
        return streams.seed - 1 if streams.seed else len(streams.text.overall) % 3  # type: ignore[union-attr]

    def draft(self, streams: Streams) -> np.ndarray:
        height, width = min(48, streams.height), min(64, streams.width)
        return np.random.default_rng(self.find(streams)).integers(0, 256, (height, width, 3), np.uint8)

    def candidates(self, streams: Streams, count: int, tokens: object = None) -> list[int]:
        first = len(streams.text.overall) % 3  # type: ignore[union-attr]
        return [(first + k) % 3 + 1 for k in range(count)]


@pytest.fixture(scope="module")
def cascade() -> Cascade:
    torch.manual_seed(0)
    sharpener = Sharpener(Upsampler(features=8, growth=4, blocks=1))
    return Cascade(lambda: sharpener, Photos)  # type: ignore[arg-type]


def of_text(text: str, seed: int = 0, size: tuple[int, int] = (64, 48)) -> Scene:
    return Scene(Streams(*size, seed, Description(text)))


def of_pixels(seed: int = 0, quality: int = 150) -> Scene:
    draft = np.random.default_rng(3).integers(0, 256, (48, 64, 3), np.uint8)
    return Scene(Streams(64, 48, seed, pixels=dataclasses.replace(LATENTS, quality=quality)), draft)


def test_pixels_are_drawn_from_the_draft_alone(cascade: Cascade) -> None:
    scene = of_pixels(seed=5)
    assert scene.draft is not None
    wanted = cascade.sharpener().draw(scene.draft, 150, 5)
    np.testing.assert_array_equal(cascade.draw(scene), wanted)
    with_text = Scene(dataclasses.replace(scene.streams, text=Description("a cat")), scene.draft)
    np.testing.assert_array_equal(cascade.draw(with_text), wanted)


def test_seed_and_quality_matter(cascade: Cascade) -> None:
    first = cascade.draw(of_pixels())
    np.testing.assert_array_equal(first, cascade.draw(of_pixels()))
    assert not np.array_equal(first, cascade.draw(of_pixels(seed=1)))
    assert not np.array_equal(first, cascade.draw(of_pixels(quality=10)))


def test_the_text_chooses_the_photo(cascade: Cascade) -> None:
    images = [cascade.draw(of_text(text)) for text in ("a", "ab", "abc")]
    for k in range(3):
        assert not np.array_equal(images[k], images[k - 1])


def test_two_texts_of_one_photo_never_look_the_same(cascade: Cascade) -> None:
    assert not np.array_equal(cascade.draw(of_text("abc")), cascade.draw(of_text("xyz")))


def test_a_large_image_is_enlarged(cascade: Cascade) -> None:
    assert cascade.draw(of_text("a", size=(130, 90))).shape == (90, 130, 3)


def test_batches_draw_what_single_calls_draw(cascade: Cascade) -> None:
    scenes, seen = [of_text("a"), of_pixels(), of_text("b", 2)], []
    images = cascade.draw_many(scenes, progress=lambda done, total: seen.append((done, total)))
    for image, scene in zip(images, scenes, strict=True):
        np.testing.assert_array_equal(image, cascade.draw(scene))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_another_seed_is_the_next_likeliest_photo(cascade: Cascade) -> None:
    streams = of_text("ab").streams
    assert [cascade.reseed(streams, seed).seed for seed in range(3)] == [3, 1, 2]
    with pytest.raises(InputError, match="3 photos"):
        cascade.reseed(streams, 3)
    assert cascade.reseed(of_pixels().streams, 7).seed == 7


def test_upsampler_and_memory_are_loaded_when_an_image_needs_them(cascade: Cascade) -> None:
    loaded = []

    def load(name: str, part: object) -> object:
        loaded.append(name)
        return part

    upsampler = functools.cache(lambda: load("upsampler", cascade.sharpener()))
    lazy = Cascade(upsampler, functools.cache(lambda: load("memory", Photos())))  # type: ignore[arg-type]
    assert loaded == []
    np.testing.assert_array_equal(lazy.draw(of_pixels(seed=5)), cascade.draw(of_pixels(seed=5)))
    assert loaded == ["upsampler"]
    np.testing.assert_array_equal(lazy.draw(of_text("a cat")), cascade.draw(of_text("a cat")))
    assert loaded == ["upsampler", "memory"]


def test_a_profile_of_the_users_own_draws_with_its_upsampler(cascade: Cascade, tmp_path: Path) -> None:
    save_upsampler(cascade.sharpener().network, tmp_path / "own.safetensors")
    (tmp_path / "own.toml").write_text('base = "embedded"\n[cascade]\nupsampler = "own.safetensors"\n')
    own = load_cascade(load_profile(str(tmp_path / "own.toml")), "cpu", None, None)  # type: ignore[arg-type]
    assert own.sharpener().network.config == cascade.sharpener().network.config


def test_candidates_are_noises_or_photos(cascade: Cascade) -> None:
    assert cascade.candidates(of_pixels().streams, 3) == [0, 1, 2]
    assert cascade.candidates(of_text("a").streams, 2) == [2, 3]


def test_without_memory_text_cannot_be_drawn(cascade: Cascade) -> None:
    with pytest.raises(WeightsError, match="no memory"):
        Cascade(cascade.sharpener).draw(of_text("a"))
