"""The upsampler: its ncnn reader, its network, and drafts drawn in tiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from misc.errors import WeightsError
from misc.models.decoder.ncnn import read_convolutions
from misc.models.decoder.sharpen import Sharpener
from misc.models.decoder.upsampler import FACTOR, ResidualBlock, Upsampler
from misc.models.decoder.upsampler_weights import load_upsampler, save_upsampler
from misc.profiles import load_profile

HALF = 0x01306B47
GRAPH = """7767517
3 3
Input input 0 1 data
Convolution first 1 1 data a 0=2 1=3 4=1 5=1 6=54 9=2 -23310=1,2.000000e-01
Convolution second 1 1 a b 0=1 1=1 4=0 5=1 6=2
"""


def small(seed: int = 0) -> Upsampler:
    torch.manual_seed(seed)
    return Upsampler(features=8, growth=4, blocks=1).eval()


def write_ncnn(folder: Path, graph: str = GRAPH, extra: bytes = b"") -> tuple[Path, Path, list[np.ndarray]]:
    """Files of the small graph, whose second layer has an odd number of halves' bytes to pad."""
    draw = np.random.default_rng(0)
    arrays = [draw.normal(size=s).astype(np.float16 if len(s) == 4 else np.float32) for s in ((2, 3, 3, 3), (2,))]
    arrays += [draw.normal(size=s).astype(np.float16 if len(s) == 4 else np.float32) for s in ((1, 2, 1, 1), (1,))]
    data = b""
    for array in arrays:
        raw = array.tobytes()
        if array.ndim == 4:
            data += HALF.to_bytes(4, "little") + raw + bytes(-len(raw) % 4)
        else:
            data += raw
    (folder / "a.param").write_text(graph)
    (folder / "a.bin").write_bytes(data + extra)
    return folder / "a.param", folder / "a.bin", arrays


def test_ncnn_numbers_come_back(tmp_path: Path) -> None:
    param, weights, arrays = write_ncnn(tmp_path)
    (first, bias), (second, last) = read_convolutions(param, weights)
    for read, wanted in zip((first, bias, second, last), arrays, strict=True):
        np.testing.assert_array_equal(read.numpy(), wanted.astype(np.float32))


def test_ncnn_refuses_bytes_too_many(tmp_path: Path) -> None:
    param, weights, _ = write_ncnn(tmp_path, extra=b"\0")
    with pytest.raises(WeightsError, match="accounts for"):
        read_convolutions(param, weights)


def test_ncnn_refuses_every_cut(tmp_path: Path) -> None:
    param, weights, _ = write_ncnn(tmp_path)
    data = weights.read_bytes()
    for length in range(len(data)):
        weights.write_bytes(data[:length])
        with pytest.raises(WeightsError):
            read_convolutions(param, weights)


@pytest.mark.parametrize("graph", ["", "hello", GRAPH.replace("5=1", "5=0"), GRAPH.replace("6=54", "6=53")])
def test_ncnn_refuses_other_graphs(tmp_path: Path, graph: str) -> None:
    param, weights, _ = write_ncnn(tmp_path, graph)
    with pytest.raises(WeightsError):
        read_convolutions(param, weights)


def test_ncnn_missing_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="missing"):
        read_convolutions(tmp_path / "a.param", tmp_path / "a.bin")


def as_x4plus(network: Upsampler) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Convolutions of a network of this shape that sees three channels, as the ncnn file lists them."""
    torch.manual_seed(7)
    layers = [(layer.weight.detach() * 2 + 0.01, layer.bias.detach() + 0.02) for layer in network.convolutions()]
    layers[0] = (torch.randn(8, 3, 3, 3) * 0.2, layers[0][1])
    return layers


def test_x4plus_sees_the_mean_of_sixteen_pixels_and_nothing_else() -> None:
    network = small()
    convolutions = as_x4plus(network)
    network.load_x4plus(convolutions)
    draft = torch.rand(2, 3, 16, 24)
    planes = torch.randn(2, 1, 4, 6), torch.randn(2, 1, 4, 6)
    with torch.no_grad():
        images = [network(draft, torch.tensor([q, q]), noise) for q, noise in zip((0.1, 0.9), planes, strict=True)]
        features = network.first(
            torch.cat([F.pixel_unshuffle(draft, FACTOR), planes[0], torch.full((2, 1, 4, 6), 0.3)], 1)
        )
        wanted = F.conv2d(F.avg_pool2d(draft, FACTOR), *convolutions[0], padding=1)
    assert torch.equal(images[0], images[1])
    torch.testing.assert_close(features, wanted, rtol=1e-5, atol=1e-5)
    assert images[0].shape == draft.shape


def test_x4plus_of_another_shape_is_refused() -> None:
    network = small()
    convolutions = as_x4plus(network)
    with pytest.raises(WeightsError, match="convolutions"):
        network.load_x4plus(convolutions[:-1])
    with pytest.raises(WeightsError, match="another network"):
        network.load_x4plus([*convolutions[:-1], convolutions[0]])


def test_layers_come_in_the_order_of_the_image() -> None:
    """The order of `convolutions` is that in which an image passes them, as the ncnn file needs it."""
    network, passed = small(), []
    for layer in network.convolutions():
        layer.register_forward_hook(lambda module, *_: passed.append(module))
    network(torch.rand(1, 3, 8, 8), torch.ones(1), torch.zeros(1, 1, 2, 2))
    assert passed == network.convolutions()


def test_residuals_are_scaled_by_a_fifth_at_both_levels() -> None:
    """As in ESRGAN: each of three dense blocks adds 0.2 times its last layer, their result is added 0.2 times."""
    block = ResidualBlock(8, 4)
    with torch.no_grad():
        for dense in block.dense:
            dense.layers[-1].weight.zero_()  # type: ignore[union-attr,operator]
            dense.layers[-1].bias.fill_(1)  # type: ignore[union-attr,operator]
        x = torch.randn(1, 8, 4, 4)
        torch.testing.assert_close(block(x), x + 0.2 * (x + 3 * 0.2))


def test_noise_and_quality_change_the_image() -> None:
    network, draft = small(), torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        plain = network(draft, torch.zeros(1), torch.zeros(1, 1, 4, 4))
        noisy = network(draft, torch.zeros(1), torch.randn(1, 1, 4, 4))
        better = network(draft, torch.ones(1), torch.zeros(1, 1, 4, 4))
    assert not torch.equal(plain, noisy)
    assert not torch.equal(plain, better)


def test_weights_of_eight_bits_draw_nearly_the_same(tmp_path: Path) -> None:
    network, draft = small(), torch.rand(1, 3, 16, 16)
    save_upsampler(network, tmp_path / "u.safetensors")
    again = load_upsampler(tmp_path / "u.safetensors")
    with torch.no_grad():
        a, b = (each(draft, torch.ones(1), torch.zeros(1, 1, 4, 4)) for each in (network, again))
    assert (a - b).abs().max() < 0.02 * a.abs().max()
    data = (tmp_path / "u.safetensors").read_bytes()
    (tmp_path / "u.safetensors").write_bytes(data[:-100])
    with pytest.raises(WeightsError):
        load_upsampler(tmp_path / "u.safetensors")


def test_any_size_and_the_same_bytes_again() -> None:
    sharpener = Sharpener(small())
    for height, width in ((1, 1), (3, 5), (17, 64)):
        draft = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
        drawn = sharpener.draw(draft, 200, 5)
        assert drawn.shape == draft.shape
        assert drawn.dtype == np.uint8
        np.testing.assert_array_equal(drawn, sharpener.draw(draft, 200, 5))
    assert not np.array_equal(drawn, sharpener.draw(draft, 200, 6))


def test_tiles_leave_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that reaches less far than tiles overlap draws in tiles what it draws at once."""
    network = small()
    draft = np.random.default_rng(1).integers(0, 256, (180, 260, 3), np.uint8)
    whole = Sharpener(network).draw(draft, 128, 1)
    monkeypatch.setattr("misc.models.decoder.sharpen.TILE", 40)
    tiled = Sharpener(network).draw(draft, 128, 1)
    inner = np.abs(whole.astype(int) - tiled.astype(int))
    assert inner.max() <= 12
    assert inner.mean() < 0.2


class ShowsNoise(torch.nn.Module):
    """Draws its noise, enlarged, as grey."""

    def forward(self, draft: torch.Tensor, level: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        return F.interpolate(noise, scale_factor=float(FACTOR)).expand(-1, 3, -1, -1) / 4 + 0.5


def test_tiles_have_the_noise_of_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    draft = np.zeros((180, 260, 3), np.uint8)
    whole = Sharpener(ShowsNoise()).draw(draft, 128, 1)  # type: ignore[arg-type]
    monkeypatch.setattr("misc.models.decoder.sharpen.TILE", 40)
    tiled = Sharpener(ShowsNoise()).draw(draft, 128, 1)  # type: ignore[arg-type]
    assert np.std(whole) > 50
    assert np.abs(whole.astype(int) - tiled.astype(int)).max() <= 1


@pytest.mark.skipif(not load_profile().packages["x4plus"].path.is_file(), reason="`misc pull` was not run")
def test_real_weights_make_a_blurred_edge_sharp() -> None:
    from misc.models.decoder.cascade_weights import load_x4plus

    network = load_x4plus(load_profile()).eval()
    ramp = torch.linspace(-3, 3, 64).sigmoid().expand(1, 3, 64, 64).contiguous()
    with torch.no_grad():
        drawn = network(ramp, torch.ones(1), torch.zeros(1, 1, 16, 16))
    steps = drawn[0, 1, 32].diff()
    assert steps.max() > 1.5 * ramp[0, 1, 32].diff().max()
    assert (drawn - ramp).abs().mean() < 0.05
