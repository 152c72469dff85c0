"""The upsampler's trainer on tiny networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from misc.models.decoder.upsampler import Upsampler
from misc.models.decoder.upsampler_weights import load_upsampler
from misc.train import upsampler as trainer
from misc.train.losses.unet_discriminator import UNetDiscriminator
from misc.train.upsampler import Recipe, UpsamplerTask
from tests.train.learning import ACCELERATOR, assert_learns

RECIPE = Recipe(batch=2, crop=32, inner=16, rate=3e-3, critic_rate=3e-3, critic_features=8)


class Blur(nn.Module):
    """Stands for the hyperprior: drafts are means of 4 x 4 pixels."""

    def forward(self, x: Tensor, quality: Tensor) -> dict[str, Tensor]:
        return {"x_hat": F.interpolate(F.avg_pool2d(x, 4), scale_factor=4.0)}


class Plain(nn.Module):
    """Stands for VGG16 and for ST-LPIPS."""

    def forward(self, *images: Tensor, **_: Any) -> Any:
        return [images[0]] * 5 if len(images) == 1 else (images[0] - images[1]).abs().flatten(1).mean(1)


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> UpsamplerTask:
    torch.manual_seed(0)
    monkeypatch.setattr(trainer, "VggFeatures", lambda _: Plain())
    monkeypatch.setattr(trainer, "st_lpips", lambda _: Plain())
    crops = torch.rand(2, 3, 4, 4).repeat_interleave(8, 2).repeat_interleave(8, 3)

    def batches():
        while True:
            yield crops.clone()

    network = Upsampler(features=8, growth=4, blocks=1)
    return UpsamplerTask(network, Blur(), batches(), Path("unused"), RECIPE, ACCELERATOR)


def test_it_learns(task: UpsamplerTask, tmp_path: Path) -> None:
    photos, drafts, quality = task.batch()
    noise = torch.zeros(2, 1, 4, 4)

    def measure(network: nn.Module) -> Tensor:
        return (network(drafts, quality, noise) - photos).abs().mean()

    assert_learns(task, tmp_path, 24, measure, 0.9)
    again = load_upsampler(tmp_path / "upsampler.safetensors")
    assert again.config == task.upsampler.config


def test_photo_and_draft_are_of_one_place(task: UpsamplerTask) -> None:
    for _ in range(8):
        photos, drafts, _ = task.batch()
        assert photos.shape == drafts.shape == (2, 3, 16, 16)
        torch.testing.assert_close(F.avg_pool2d(photos, 4), F.avg_pool2d(drafts, 4), atol=0.02, rtol=0)


def test_a_discriminator_that_guesses_has_no_say(task: UpsamplerTask) -> None:
    photos, drafts, _ = task.batch()
    drawn = drafts + 0.1 * torch.randn_like(drafts)
    task.skill = 0.0
    without, _ = task.pull(drawn.clone(), photos, drafts, 0)
    task.skill = 1.0
    with_critic, losses = task.pull(drawn.clone(), photos, drafts, 0)
    assert not torch.equal(without, with_critic)
    torch.testing.assert_close((with_critic - without).norm(), torch.tensor(RECIPE.critic), rtol=0.01, atol=0)
    assert set(losses) == {"vgg", "coarse", "unreal"}
    assert set(task.pull(drawn.clone(), photos, drafts, 1)[1]) == {"st_lpips", "coarse", "unreal"}


def test_the_pull_points_to_the_photo(task: UpsamplerTask) -> None:
    photos, drafts, _ = task.batch()
    drawn = (photos + 0.2).clone()
    task.skill = 0.0
    pull, _ = task.pull(drawn, photos, drafts, 1)
    assert (pull > 0).all(), "too bright everywhere, so the gradient is positive everywhere"


def test_discriminator_sees_image_and_draft() -> None:
    torch.manual_seed(0)
    critic = UNetDiscriminator(8)
    images, drafts = torch.rand(2, 3, 16, 24), torch.rand(2, 3, 16, 24)
    logits = critic(images, drafts)
    assert logits.shape == (2, 1, 16, 24)
    assert not torch.equal(logits, critic(images, 1 - drafts))
    assert not torch.equal(logits, critic(1 - images, drafts))
