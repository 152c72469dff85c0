"""The upsampler's trainer on tiny networks."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from misc.models.decoder.upsampler import Upsampler
from misc.models.decoder.upsampler_weights import load_upsampler
from misc.models.towers.efficientnet import EfficientNetLite
from misc.train import upsampler as trainer
from misc.train.losses.discriminator import discriminator_loss, generator_loss
from misc.train.losses.excess_detail import excess_detail
from misc.train.losses.projected_discriminator import ProjectedDiscriminator
from misc.train.upsampler import Critic, Recipe, UpsamplerTask
from tests.train.learning import ACCELERATOR, assert_learns

RECIPE = Recipe(batch=2, crop=32, inner=16, learning_rate=3e-3, critic_learning_rate=3e-3, critic_features=8)


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
    assert set(losses) == {"vgg", "coarse", "excess", "unreal"}
    assert set(task.pull(drawn.clone(), photos, drafts, 1)[1]) == {"st_lpips", "coarse", "excess", "unreal"}


def test_the_pull_points_to_the_photo(task: UpsamplerTask) -> None:
    photos, drafts, _ = task.batch()
    drawn = (photos + 0.2).clone()
    task.skill = 0.0
    pull, _ = task.pull(drawn, photos, drafts, 1)
    assert (pull > 0).all(), "too bright everywhere, so the gradient is positive everywhere"


@pytest.fixture(scope="module")
def classifier() -> EfficientNetLite:
    torch.manual_seed(1)
    return EfficientNetLite(4).eval().requires_grad_(False)


@pytest.mark.parametrize("sizes", [[(32, 64)], [(16, 32), (8, 16), (4, 8), (2, 4), (1, 2), (32, 64)]])
def test_every_discriminator_sees_image_and_draft(sizes: list[tuple[int, int]], classifier: EfficientNetLite) -> None:
    torch.manual_seed(0)
    critic = Critic(8, classifier if len(sizes) > 1 else None)
    images, drafts = torch.rand(2, 3, 32, 64), torch.rand(2, 3, 32, 64)
    logits = critic(images, drafts)
    assert [each.shape for each in logits] == [(2, 1, *size) for size in sizes]
    for changed in (critic(images, 1 - drafts), critic(1 - images, drafts)):
        assert not any(torch.equal(a, b) for a, b in zip(logits, changed, strict=True))


def test_only_the_heads_of_a_projected_discriminator_learn(classifier: EfficientNetLite) -> None:
    critic = ProjectedDiscriminator(classifier).train()
    assert {name.partition(".")[0] for name, value in critic.named_parameters() if value.requires_grad} == {"heads"}
    before = {name: value.clone() for name, value in classifier.named_buffers()}
    images = torch.rand(1, 3, 32, 32, requires_grad=True)
    generator_loss(critic(images, torch.rand(1, 3, 32, 32))).backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0, "the image's gradient passes the classifier"
    assert all(torch.equal(value, before[name]) for name, value in classifier.named_buffers()), "batch norm is frozen"


def test_losses_of_discriminators_are_the_mean_of_each() -> None:
    real, drawn = [torch.tensor([2.0, 0.0]), torch.tensor([[-1.0]])], [torch.tensor([-3.0, 0.0]), torch.tensor([[1.0]])]
    assert discriminator_loss(real, drawn).item() == pytest.approx(((0.5 + 0.5) / 2 + (2 + 2) / 2) / 2)
    assert generator_loss(drawn).item() == pytest.approx((1.5 - 1.0) / 2)


def test_detail_counts_where_the_photo_has_less() -> None:
    flat, places = torch.full((1, 3, 32, 32), 0.5), torch.arange(32)
    weave = flat + 0.1 * ((places[:, None] + places) % 2 - 0.5)
    assert excess_detail(flat, flat) == excess_detail(flat, weave) == excess_detail(weave, weave) == 0
    assert excess_detail(weave, flat) > 20 * excess_detail(flat + 0.5 * (weave - flat), 0.9 * weave)
    half = torch.cat([weave[..., :16], flat[..., 16:]], 3)
    torch.testing.assert_close(excess_detail(half, flat), excess_detail(weave, flat) / 2, rtol=0.1, atol=0)


def test_excess_detail_has_its_share_of_the_pull(task: UpsamplerTask) -> None:
    photos, drafts, _ = task.batch()
    drawn, task.skill = drafts + 0.1 * torch.randn_like(drafts), 0.0
    without, _ = task.pull(drawn.clone(), photos, drafts, 0)
    task.recipe = dataclasses.replace(task.recipe, flat=0.7)
    with_share, _ = task.pull(drawn.clone(), photos, drafts, 0)
    torch.testing.assert_close((with_share - without).norm(), torch.tensor(0.7), rtol=0.01, atol=0)
