"""Losses and the discriminator."""

import pytest
import torch

from misc.train.losses import discriminator
from misc.train.losses import image as picture_losses


def test_the_critic_learns_which_is_which() -> None:
    torch.manual_seed(0)
    critic = discriminator.PatchDiscriminator(8)
    optimizer = torch.optim.AdamW(critic.parameters(), 2e-3)
    real, drawn, drafts = torch.rand(4, 3, 32, 32), torch.full((4, 3, 32, 32), 0.5), torch.zeros(4, 3, 32, 32)
    losses = []
    for _ in range(20):
        loss = discriminator.discriminator_loss(critic(real, drafts), critic(drawn, drafts))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert losses[-1] < 0.5 * losses[0]
    assert discriminator.generator_loss(critic(real, drafts)) < discriminator.generator_loss(critic(drawn, drafts))


def test_texture_is_measured_by_its_strength_and_direction() -> None:
    torch.manual_seed(0)
    photos, other = (0.5 + 0.1 * torch.randn(2, 3, 80, 80) for _ in range(2))
    flat = torch.full_like(photos, 0.5)
    stripes = flat + 0.1 * torch.tensor([1.0, -1.0]).repeat(40)[None, None, :, None]
    assert float(picture_losses.texture_distance(photos, photos)) == 0
    of_noise, of_flat, of_stripes = (
        float(picture_losses.texture_distance(each, photos)) for each in (other, flat, stripes)
    )
    assert of_noise < of_flat / 4
    assert of_noise < of_stripes / 4


def test_what_repeats_is_told_from_noise() -> None:
    torch.manual_seed(0)
    noise = 0.1 * torch.randn(2, 3, 100, 100)
    comb = torch.zeros(100)
    comb[::8] = 0.3
    of_noise, of_both, of_comb = (
        float(picture_losses.regularity(each)) for each in (noise, noise + comb, comb.expand(1, 3, 100, 100))
    )
    assert of_noise < 0.03 < of_both
    assert of_comb == pytest.approx(2 * 0.3 * 7 / 8 / 8, rel=1e-4)
    assert float(picture_losses.regularity(torch.ones(1, 3, 48, 48))) == 0
