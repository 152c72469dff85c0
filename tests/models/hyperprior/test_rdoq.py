"""Rate-distortion optimised quantisation."""

import numpy as np
import pytest
import torch
from torch import Tensor

from misc.bits.pixels.entropy_model import LatentModel
from misc.bits.pixels.latents import UNIT, PixelLatents, follow, pack, symbols_of, unpack
from misc.models.hyperprior import hyperprior as module
from misc.models.hyperprior.hyperprior import Hyperprior
from misc.models.hyperprior.rdoq import State, best_changes, curvature_of, optimise, state_of
from misc.models.hyperprior.weights import load_hyperprior
from misc.profiles import load_profile
from tests.support.images import sample_picture as picture

SIZE = (160, 96)


@pytest.fixture(scope="module")
def trained() -> Hyperprior:
    return load_hyperprior(load_profile().hyperprior.path)


def features_of(latents: PixelLatents, model: LatentModel) -> np.ndarray:
    return model.features(latents.z, latents.quality, latents.y.shape[1:])


def start_of(latents: PixelLatents, model: LatentModel, distortion: module.Distortion) -> State:
    symbols, index = symbols_of(latents.y, features_of(latents, model), model)
    return state_of(symbols, latents.y, index, model, distortion)


def bits_of(latents: PixelLatents, model: LatentModel) -> float:
    return float(model.bits(*symbols_of(latents.y, features_of(latents, model), model)).sum())


def error_of(latents: PixelLatents, hyperprior: Hyperprior, image: np.ndarray) -> float:
    height, width, _ = image.shape
    return float(np.square(hyperprior.synthesise(latents, width, height) - image.astype(float)).mean())


def test_symbols_and_latents_are_the_same_thing(trained: Hyperprior) -> None:
    latents, data = trained.encode(np.asarray(picture(*SIZE)), 140)
    model = trained.entropy_model
    features = features_of(latents, model)
    symbols, index = symbols_of(latents.y, features, model)
    y, same_index = follow(symbols, features, model)
    assert np.array_equal(y, latents.y)
    assert np.array_equal(same_index, index)
    assert pack(PixelLatents(140, latents.z, y), model) == data


def test_bits_are_those_of_the_file(trained: Hyperprior) -> None:
    latents, _ = trained.encode(np.asarray(picture(256, 256)), 255)
    model = trained.entropy_model
    z = model.bits(latents.z, model.z_index(255, latents.z.shape[1:])).sum()
    assert (bits_of(latents, model) + z) / 8 == pytest.approx(len(pack(latents, model)) - 1, abs=2)


def test_symbols_beyond_the_tables_cost_an_escape(trained: Hyperprior) -> None:
    model = trained.entropy_model
    near, far, farther = model.bits(np.array([0, 900, 30_000]), np.array([3, 3, 3]))
    assert near < 16 < far == farther


@pytest.mark.parametrize("quality", [60, 160, 255])
def test_it_gives_a_better_draft_for_its_bits(trained: Hyperprior, quality: int) -> None:
    """Measured by the error of the decoder's own draft, which is drawn in float32."""
    image, model = np.asarray(picture(256, 192)), trained.entropy_model
    plain, optimised = trained.encode(image, quality)[0], trained.encode(image, quality, effort=8)[0]
    assert optimised.quality == quality
    weight = float(module.trade_off(torch.tensor(quality / 255))) * 256 * 192
    before, after = (bits_of(each, model) + weight * error_of(each, trained, image) for each in (plain, optimised))
    assert after < 0.995 * before


def test_its_stream_is_decoded_as_any_other(trained: Hyperprior) -> None:
    image, model = np.asarray(picture(*SIZE)), trained.entropy_model
    latents, data = trained.encode(image, 180, effort=4)
    assert data != trained.encode(image, 180)[1]
    assert unpack(data, *SIZE, model) == latents


def test_twice_gives_the_same(trained: Hyperprior) -> None:
    image = np.asarray(picture(*SIZE))
    assert trained.encode(image, 180, effort=4)[1] == trained.encode(image, 180, effort=4)[1]


def bowl(centre: Tensor, weight: float) -> module.Distortion:
    """A distortion whose slope and curvature are known."""
    return lambda y: weight * (y - centre).square().sum()


def test_a_known_distortion_is_followed_to_its_least(trained: Hyperprior) -> None:
    """With an error that is worth more than any bits. Changes move the means of other latents, so some stay away."""
    model = trained.entropy_model
    start, _ = trained.encode(np.asarray(picture(256, 256)), 180)
    target = torch.from_numpy(start.y / UNIT).float()
    target[::2] += 1.3
    end = optimise(start, model, bowl(target[None], 1e4), rounds=200)
    before, after = ((torch.from_numpy(each.y / UNIT) - target).square().mean() for each in (start, end))
    assert after < 0.6 * before


def test_changes_are_never_neighbours(trained: Hyperprior) -> None:
    model = trained.entropy_model
    start, _ = trained.encode(np.asarray(picture(256, 256)), 180)
    distortion = bowl(torch.from_numpy(start.y / UNIT)[None].float() + 0.9, 100.0)
    state = start_of(start, model, distortion)
    curvature = curvature_of(state, distortion)
    assert curvature == pytest.approx(200.0)
    for share in (1.0, 0.25):
        changes = best_changes(state, model, curvature, share)
        assert set(np.unique(changes)) == {0, 1}
        rows, columns = np.nonzero(changes.any(0))
        assert np.abs(changes).sum() == rows.size
        apart = np.maximum(np.abs(rows[:, None] - rows), np.abs(columns[:, None] - columns))
        assert (apart + 9 * np.eye(rows.size) > 1).all()


def test_nothing_changes_where_nothing_pays(trained: Hyperprior) -> None:
    model = trained.entropy_model
    start, _ = trained.encode(np.asarray(picture(*SIZE)), 180)
    held = optimise(start, model, bowl(torch.from_numpy(start.y / UNIT)[None].float(), 1e5), rounds=5)
    assert held == start


def test_changes_that_only_seem_to_pay_are_not_made(trained: Hyperprior) -> None:
    """The slope promises a gain, and half a symbol further is a wall."""
    model = trained.entropy_model
    start, _ = trained.encode(np.asarray(picture(*SIZE)), 180)
    before = torch.from_numpy(start.y / UNIT)[None].float()

    def wall(y: Tensor) -> Tensor:
        way = y - before
        return (1000 * torch.relu(way.abs() - 0.6) - 50 * way).sum()

    state = start_of(start, model, wall)
    assert best_changes(state, model, curvature_of(state, wall), 1.0).any()
    assert optimise(start, model, wall, rounds=5) == start
