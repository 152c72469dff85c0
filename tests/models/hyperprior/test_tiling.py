"""Tiles leave no seams: what is computed from them is what the whole image gives."""

import numpy as np
import pytest
import torch
from torch import Tensor

from misc.models.hyperprior import tiling
from misc.models.hyperprior.hyperprior import Hyperprior
from misc.models.hyperprior.tiling import DRAWN_REACH, LATENT_REACH, REACH, analyse, pieces, synthesise
from misc.models.hyperprior.transforms import Transform
from tests.support.images import sample_picture

QUALITY = torch.tensor([0.5])
SIZES = [(230, 167), (33, 400), (1, 300), (301, 1)]


def reach(transform: Transform, x: Tensor, out: int, **stages: int) -> list[int]:
    """The rows of x, counted from its middle, that the middle one of `out` parts of the output depends on."""
    x = x.requires_grad_()
    y = transform.run(x, QUALITY, **stages)
    part = y.shape[2] // out
    y[:, :, out // 2 * part : (out // 2 + 1) * part].square().sum().backward()
    assert x.grad is not None
    return torch.nonzero(x.grad.abs().sum((0, 1, 3)))[:, 0].tolist()


def test_borders_are_as_wide_as_the_convolutions_reach(hyperprior: Hyperprior) -> None:
    torch.manual_seed(0)
    drawn = reach(hyperprior.g_s, torch.randn(1, 8, 21, 8), 21, first=2)
    assert (drawn[0], drawn[-1]) == (10 - DRAWN_REACH, 10 + DRAWN_REACH)
    latents = reach(hyperprior.g_s, torch.randn(1, 6, 31, 8), 31, last=2)
    assert (latents[0], latents[-1]) == (15 - LATENT_REACH, 15 + LATENT_REACH)
    image = reach(hyperprior.g_a, torch.randn(1, 3, 21 * 16, 64), 21, last=3)
    assert image[0] // 16 == 10 - REACH
    assert image[-1] // 16 <= 10 + REACH


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_latents_of_tiles_are_those_of_the_whole_image(hyperprior: Hyperprior, size: tuple[int, int]) -> None:
    image = np.asarray(sample_picture(*size))
    with torch.no_grad():
        whole, tiled = (analyse(hyperprior.g_a, image, QUALITY, side) for side in (1000, 3))
    torch.testing.assert_close(tiled, whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_draft_of_tiles_is_the_one_of_the_whole_image(hyperprior: Hyperprior, size: tuple[int, int]) -> None:
    torch.manual_seed(1)
    y = 4 * torch.randn(1, 6, -(-size[1] // 32), -(-size[0] // 32))
    with torch.no_grad():
        whole, tiled = (synthesise(hyperprior.g_s, y, QUALITY, *size, side) for side in (1000, 3))
        image = (hyperprior.g_s(y, QUALITY) + 0.5).clamp(0, 1)[0, :, : size[1], : size[0]].permute(1, 2, 0)
    assert whole.shape == (size[1], size[0], 3)
    assert whole.std() > 5
    assert np.abs(whole - 255 * image.numpy()).max() < 1.01
    assert np.abs(tiled.astype(int) - whole).max() <= 1


def test_no_tile_is_larger_than_its_side_and_borders(hyperprior: Hyperprior, monkeypatch: pytest.MonkeyPatch) -> None:
    """What bounds the memory: the largest input of the transforms' wide stages does not grow with the image."""
    seen: list[int] = []
    run = Transform.run

    def watched(self: Transform, x: Tensor, quality: Tensor, **stages: int) -> Tensor:
        if stages in ({"last": 3}, {"first": 2}):
            seen.append(x.shape[2] * x.shape[3] // (256 if stages == {"last": 3} else 1))
        return run(self, x, quality, **stages)

    monkeypatch.setattr(Transform, "run", watched)
    image = np.zeros((3 * 16 * 8, 5 * 16 * 8, 3), np.uint8)
    with torch.no_grad():
        y = analyse(hyperprior.g_a, image, QUALITY, 8)
        synthesise(hyperprior.g_s, y, QUALITY, image.shape[1], image.shape[0], 8)
    assert len(seen) == 30
    assert max(seen) <= (8 + 2 * REACH) ** 2


def test_pieces_cover_a_side_once() -> None:
    for length in (1, 95, 96, 97, 300):
        found = list(pieces(length, 96, 5))
        assert [cell for piece in found for cell in range(piece.start, piece.stop)] == list(range(length))
        assert all(piece.start - piece.low in (0, 5) and piece.high <= length for piece in found)


def test_the_tiles_in_use_are_larger_than_their_borders() -> None:
    assert 4 * max(REACH, LATENT_REACH, DRAWN_REACH) < tiling.SIDE
