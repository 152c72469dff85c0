"""How much the encoder tries: `effort`."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from misc.bits.pixels.latents import PixelLatents
from misc.codec import Codec
from misc.errors import UsageError, WeightsError
from misc.models.hyperprior.distortion import FeatureDistance
from misc.models.semantics import Semantics
from misc.profiles import load_profile
from misc.rate_control import DEFAULT_EFFORT
from misc.weights.checks import State
from misc.weights.packages import Package
from tests.support.images import sample_picture

PULLED = load_profile().packages["efficientnet"].path.is_file()
PICTURE = sample_picture(192, 128)


@pytest.fixture(scope="module")
def codec() -> Codec:
    return Codec()


def pixels_of(codec: Codec, **options: Any) -> PixelLatents:
    pixels = codec.streams(codec.encode(PICTURE, mode="pixel", **options)).pixels
    assert pixels is not None
    return pixels


@pytest.mark.parametrize("spare", [0, 10, 60, 4000])
def test_budgets_hold_and_are_used_by_optimised_symbols(codec: Codec, spare: int) -> None:
    budget = len(codec.encode(PICTURE, mode="pixel", quality=0)) + spare
    data = codec.encode(PICTURE, mode="pixel", max_bytes=budget)
    content = codec.streams(data)
    assert content.pixels is not None
    assert 0.9 * budget < len(data) <= budget or content.pixels.quality == 255


def test_symbols_are_optimised_unless_told_otherwise(codec: Codec) -> None:
    plain, usual = (pixels_of(codec, quality=200, **options) for options in ({"effort": 0}, {}))
    assert plain != usual
    assert plain == codec.hyperprior.analyse(np.asarray(PICTURE), 200)
    assert usual == pixels_of(codec, quality=200, effort=DEFAULT_EFFORT)


def test_less_than_no_effort_is_refused(codec: Codec) -> None:
    with pytest.raises(UsageError, match="the effort is a whole number from 0 up, not -1"):
        codec.encode(PICTURE, mode="pixel", effort=-1)


def test_a_large_image_is_coded_once_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    codec, efforts = Codec(), []
    coded = codec.hyperprior.encode
    monkeypatch.setattr(codec.hyperprior, "encode", lambda *given: (efforts.append(given[2]), coded(*given))[1])
    for most, expected in ((192 * 128, {0, DEFAULT_EFFORT}), (192 * 128 - 1, {0})):
        efforts.clear()
        monkeypatch.setattr("misc.encoding.OPTIMISED_PIXELS", most)
        codec.encode(PICTURE, mode="pixel", bpp=0.05)
        assert set(efforts) == expected


def test_where_nothing_is_pulled_the_squared_error_alone_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    codec = Codec()
    monkeypatch.setattr(Package, "state", lambda package: State.MISSING)
    assert codec.semantics.classifier is None
    expected, _ = codec.hyperprior.encode(np.asarray(PICTURE), 200, DEFAULT_EFFORT)
    assert pixels_of(codec, quality=200) == expected


def test_a_damaged_classifier_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    damaged = tmp_path / "weights.bin"
    damaged.write_bytes(b"no weights")
    monkeypatch.setattr(Package, "path", damaged)
    with pytest.raises(WeightsError, match="damaged"):
        Codec().encode(PICTURE, mode="pixel", quality=200)


@pytest.mark.parametrize("without_gradients", [torch.no_grad, torch.inference_mode])
def test_a_caller_who_has_turned_gradients_off_gets_the_same_file(codec: Codec, without_gradients: Any) -> None:
    expected = pixels_of(codec, quality=200)
    with without_gradients():
        assert pixels_of(Codec(), quality=200) == expected


@pytest.mark.skipif(not PULLED, reason="the weights are not pulled")
def test_with_the_classifier_drafts_are_closer_in_its_features(codec: Codec) -> None:
    image, classifier = np.asarray(PICTURE), codec.semantics.classifier
    assert classifier is not None
    drafts = [
        codec.hyperprior.synthesise(codec.hyperprior.encode(image, 200, 8, given)[0], *PICTURE.size)
        for given in (None, classifier)
    ]
    photo, *drawn = (torch.from_numpy(np.array(each)).permute(2, 0, 1)[None] / 255 for each in (image, *drafts))
    distance = FeatureDistance(classifier, photo)
    without, by_features = (float(distance(each)) for each in drawn)
    assert by_features < 0.98 * without
    assert float(distance(photo)) < 1e-3


def test_a_profile_without_a_tagger_has_no_classifier() -> None:
    assert Semantics(dataclasses.replace(load_profile(), packages={})).classifier is None
