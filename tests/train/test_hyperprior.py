"""The hyperprior's trainer learns, resumes, and writes what the codec loads."""

import dataclasses
import itertools
import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from misc.errors import InputError
from misc.models.hyperprior.distortion import FeatureDistance
from misc.models.hyperprior.weights import load_hyperprior
from misc.models.towers.efficientnet import EfficientNetLite
from misc.train import hyperprior
from misc.train.hyperprior import HyperpriorTask, Recipe, rate_distortion, squared_error, trade_off
from tests.support.images import sample_picture
from tests.support.models import tiny_hyperprior
from tests.train.learning import ACCELERATOR, assert_learns

RECIPE = Recipe(batch=2, crop=64, learning_rate=3e-3, perceptual=0.0)


@pytest.fixture(autouse=True)
def absolute_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of ST-LPIPS, whose weights are large."""
    monkeypatch.setattr(hyperprior, "st_lpips", lambda _: lambda a, b, normalize: (a - b).abs().mean((1, 2, 3)))


def crops() -> Tensor:
    torch.manual_seed(0)
    return torch.rand(2, 3, 8, 8).repeat_interleave(8, 2).repeat_interleave(8, 3)


def random_classifier() -> EfficientNetLite:
    torch.manual_seed(1)
    classifier = EfficientNetLite(3).eval().requires_grad_(False)
    for name, value in classifier.state_dict().items():
        if name.endswith("running_var"):  # with random weights and a variance of one its maps would be close to zero
            value.fill_(0.01)
    return classifier


def loss_on(x: Tensor):
    quality = torch.tensor([0.6, 0.9])
    return lambda model: rate_distortion(model(x, quality), x, quality, 1.0, {})[0]


def test_it_learns(tmp_path: Path) -> None:
    x = crops()
    task = HyperpriorTask(tiny_hyperprior(), itertools.repeat(x), RECIPE, ACCELERATOR)
    assert_learns(task, tmp_path, 30, loss_on(x), share=0.7)
    weights = load_hyperprior(tmp_path / "hyperprior.safetensors")
    assert weights.config == tiny_hyperprior().config


def test_st_lpips_comes_in_at_its_time_and_by_its_weight() -> None:
    recipe = dataclasses.replace(RECIPE, perceptual=300.0, perceptual_start=0.5, perceptual_crop=32, perceptual_count=1)
    task = HyperpriorTask(tiny_hyperprior(), itertools.repeat(crops()), recipe, ACCELERATOR)
    assert "perceptual" not in task.step(0, 0.4)
    assert task.step(1, 0.5)["perceptual"] > 1


def test_features_count_by_their_weight() -> None:
    classifier = random_classifier()

    def counted(weight: float) -> float:
        torch.manual_seed(2)
        recipe = dataclasses.replace(RECIPE, features=weight)
        task = HyperpriorTask(tiny_hyperprior(), itertools.repeat(crops()), recipe, ACCELERATOR, classifier)
        return task.step(0, 0.0)["features"]

    assert counted(100.0) > 0.1
    assert counted(200.0) == pytest.approx(2 * counted(100.0), rel=1e-4)


def test_features_need_a_classifier() -> None:
    recipe = dataclasses.replace(RECIPE, features=100.0)
    with pytest.raises(InputError, match="classifier"):
        HyperpriorTask(tiny_hyperprior(), itertools.repeat(crops()), recipe, ACCELERATOR)


def test_distances_of_a_batch_are_those_of_its_images() -> None:
    classifier, images = random_classifier(), crops()
    drafts = (images + 0.1 * torch.rand(images.shape)).clamp(0, 1)
    together = FeatureDistance(classifier, images)(drafts)
    apart = [FeatureDistance(classifier, images[k : k + 1])(drafts[k : k + 1]) for k in range(2)]
    assert together.shape == (2,)
    assert torch.allclose(together, torch.cat(apart), rtol=0.02)
    assert float(together.min()) > 0


def test_loss_is_rate_and_distortion() -> None:
    x, quality = torch.zeros(2, 3, 4, 4), torch.tensor([0.0, 1.0])
    output = {"x_hat": torch.full_like(x, 2 / 255), "likelihoods": {"y": torch.full((2, 8), 0.5)}}
    loss, parts = rate_distortion(output, x, quality, 0.5, {"perceptual": torch.tensor([1.0, 3.0])})
    assert parts["bpp"] == pytest.approx(0.5)
    assert parts["mse"] == pytest.approx(4)
    weight = trade_off(quality)
    expected = (0.25 + weight * torch.tensor([5.0, 7.0])) * (2e-3 / weight) ** 0.6
    assert float(loss) == pytest.approx(float(expected.mean()), rel=1e-5)


def test_a_share_of_the_squared_error_may_be_of_a_quarter_of_the_size() -> None:
    x = torch.zeros(1, 3, 8, 8)
    board = torch.tensor([1.0, -1.0]).repeat(4).expand(1, 3, 8, 8) / 255  # nothing is left of it at a quarter
    assert float(squared_error(board, x, 0.0)) == pytest.approx(1)
    assert float(squared_error(board, x, 0.5)) == pytest.approx(0.5)
    assert float(squared_error(x + 1 / 255, x, 0.5)) == pytest.approx(1)


def test_the_command_starts_goes_on_and_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(3):
        sample_picture(160, 120, seed=i).save(tmp_path / f"{i}.png")
    recipe = tmp_path / "recipe.toml"
    (tmp_path / "tiny.json").write_text(json.dumps(tiny_hyperprior().config))
    recipe.write_text(f"batch = 2\ncrop = 64\nperceptual = 0.0\nconfig = '{tmp_path / 'tiny.json'}'\n")
    out = tmp_path / "out"
    common = {"data": [tmp_path], "recipe_file": recipe, "workers": 0}
    for steps in (1, 3):
        hyperprior.main(out=out, from_scratch=True, steps=steps, **common)  # type: ignore[arg-type]
        assert f'{{"steps": {steps}, ' in capsys.readouterr().out
        assert torch.load(out / "state.pt", weights_only=True)["step"] == steps
    hyperprior.main(out=tmp_path / "on", start=out / "hyperprior.safetensors", steps=0, **common)  # type: ignore[arg-type]
    first, second = (load_hyperprior(each / "hyperprior.safetensors").state_dict() for each in (out, tmp_path / "on"))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
