"""The autoencoder at a quarter: its latents are pixels, its decoder is the upsampler."""

import torch
from torch.nn import functional

from misc.models.decoder.autoencoding import decode, encode
from misc.models.decoder.quarter_autoencoder import QUARTER, SCALING, QuarterAutoencoder, enlarge, quarter_latents
from misc.models.decoder.scene import Frame
from misc.models.decoder.upsampler import Upsampler


class Recorder(torch.nn.Module):
    """In place of the upsampler: gives the draft back and keeps what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, draft: torch.Tensor, quality: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        self.told = draft, quality, noise
        return draft


def smooth_images(side: int = 64) -> torch.Tensor:
    torch.manual_seed(0)
    return functional.interpolate(torch.rand(2, 3, 5, 5), (side, side), mode="bicubic").clamp(0, 1)


def test_latents_are_means_of_pixels() -> None:
    images = smooth_images() * 2 - 1
    latents = QuarterAutoencoder(Recorder()).encode(images).latent_dist.mode()
    assert latents.shape == (2, 12, 8, 8)
    assert torch.equal(latents, quarter_latents(images))
    block = images[0, :, 8:12, 20:24].mean((1, 2))  # the quarter's pixel of row 2 and column 5
    torch.testing.assert_close(latents[0, :, 1, 2].view(3, 2, 2)[:, 0, 1], block)


def test_what_is_decoded_is_what_was_encoded_at_a_quarter() -> None:
    recorder = Recorder()
    vae, images = QuarterAutoencoder(recorder, quality=0.7), smooth_images()
    noise = torch.randn(2, 1, 16, 16)
    drawn = vae.decode(vae.encode(images * 2 - 1).latent_dist.sample(), noise).sample / 2 + 0.5
    torch.testing.assert_close(
        functional.avg_pool2d(drawn, QUARTER), functional.avg_pool2d(images, QUARTER), atol=0.02, rtol=0
    )
    assert recorder.told[1].tolist() == torch.tensor([0.7, 0.7]).tolist()
    assert recorder.told[2] is noise
    vae.decode(torch.zeros(1, 12, 2, 3))
    assert recorder.told[2].shape == (1, 1, 4, 6)
    assert not recorder.told[2].any()


def test_enlarging_is_smooth_and_keeps_the_means() -> None:
    quarter = functional.avg_pool2d(smooth_images(), QUARTER)
    wide = enlarge(quarter)
    assert wide.shape == (2, 3, 64, 64)
    error = (functional.avg_pool2d(wide, QUARTER) - quarter).abs().mean()
    bicubic = functional.interpolate(quarter, scale_factor=QUARTER, mode="bicubic")
    assert error < 0.3 * (functional.avg_pool2d(bicubic, QUARTER) - quarter).abs().mean()


def test_the_decoder_calls_it_as_it_calls_a_vae() -> None:
    vae = QuarterAutoencoder(Upsampler(8, 4, 1).eval())
    frame, images = Frame(64, 64, 8, 8, 8), smooth_images()
    with torch.no_grad():
        latents = encode(vae, images, frame, 16, torch.device("cpu"))
        drawn = decode(vae, latents, frame, 16)
        expected = vae.decode(quarter_latents(images * 2 - 1)).sample / 2 + 0.5
    torch.testing.assert_close(latents, SCALING * quarter_latents(images * 2 - 1))
    torch.testing.assert_close(drawn, expected)
    assert 2 ** (len(vae.config.block_out_channels) - 1) == 8
    assert vae.config.get("force_upcast") is False
    assert torch.nn.Module.to(vae, torch.bfloat16).dtype == torch.bfloat16
