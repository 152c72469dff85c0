"""The autoencoder's trainer runs, resumes, freezes, and writes diffusers' layout."""

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from PIL import Image

from misc.train import autoencoder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)
    Image.fromarray(noise).resize((160, 160)).save(folder / "a.png")
    return folder


def test_it_resumes_and_freezes(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autoencoder, "st_lpips", lambda _: lambda a, b, normalize: (a - b).abs().mean((1, 2, 3)))
    options = {"data": [photos], "batch": 2, "size": 32, "workers": 0}
    for steps in (1, 3):
        autoencoder.train(out=tmp_path / "out", steps=steps, perceptual_count=1, **options)
        assert torch.load(tmp_path / "out" / "state.pt", weights_only=True)["step"] == steps
    first = AutoencoderKL.from_pretrained(tmp_path / "out" / "vae", torch_dtype=torch.float32)
    assert 2 ** (len(first.config.block_out_channels) - 1) == 8
    assert sum(p.numel() for p in first.parameters()) < 8e6
    latents = first.encode(torch.rand(1, 3, 32, 32) * 2 - 1).latent_dist.mode()
    assert latents.shape == (1, autoencoder.LATENT_CHANNELS, 4, 4)
    autoencoder.train(
        out=tmp_path / "on", start=tmp_path / "out" / "vae", freeze_encoder=True, steps=2, perceptual_count=1, **options
    )
    second = AutoencoderKL.from_pretrained(tmp_path / "on" / "vae", torch_dtype=torch.float32)
    assert second.config.scaling_factor == first.config.scaling_factor
    torch.testing.assert_close(second.encoder.conv_in.weight, first.encoder.conv_in.weight)
    assert not torch.equal(second.decoder.conv_in.weight, first.decoder.conv_in.weight)


def test_latents_are_scaled_to_a_deviation_of_one() -> None:
    vae = autoencoder.new_autoencoder().eval()
    pictures = torch.rand(2, 3, 32, 32)
    autoencoder.scale_latents(vae, pictures)
    latents = vae.encode(pictures * 2 - 1).latent_dist.mode() * vae.config.scaling_factor
    assert float(latents.std()) == pytest.approx(1, abs=1e-3)
