from pathlib import Path

import numpy as np
import pytest
import torch

from misc.bits.pixels import entropy_model
from misc.bits.pixels.latents import anchors, pack, unpack
from misc.errors import WeightsError
from misc.models.hyperprior.hyperprior import Hyperprior, checkerboard
from misc.models.hyperprior.transforms import GainUnit, ResidualBlock, level_weights
from misc.models.hyperprior.weights import load_hyperprior, save_hyperprior
from tests.support.images import sample_picture as picture
from tests.support.models import tiny_hyperprior


def test_forward_keeps_compressais_contract(hyperprior: Hyperprior) -> None:
    x = torch.rand(2, 3, 128, 64)
    output = hyperprior(x, torch.tensor([0.2, 0.9]))
    assert output["x_hat"].shape == x.shape
    assert output["likelihoods"]["y"].shape == (2, 6, 4, 2)
    assert output["likelihoods"]["z"].shape == (2, 3, 2, 1)
    assert all(0 < float(v.min()) <= float(v.max()) <= 1 for v in output["likelihoods"].values())


def test_compress_and_decompress_keep_compressais_contract(hyperprior: Hyperprior) -> None:
    x = torch.rand(2, 3, 128, 64)
    packed = hyperprior.compress(x)
    assert packed["shape"] == (2, 1)
    assert [len(packed["strings"]), len(packed["strings"][0])] == [1, 2]
    x_hat = hyperprior.decompress(packed["strings"], packed["shape"])["x_hat"]
    assert x_hat.shape == x.shape
    with torch.no_grad():
        quality = torch.full((2,), 191 / 255)
        assert (x_hat - hyperprior(x, quality)["x_hat"].clamp(0, 1)).abs().mean() < 0.02


def test_compressais_own_evaluation_drives_the_model(hyperprior: Hyperprior) -> None:
    eval_model = pytest.importorskip("compressai.utils.eval_model.__main__")
    facts = eval_model.inference(hyperprior, torch.rand(3, 192, 192))
    assert 0 < facts["bpp"] < 24
    assert facts["psnr-rgb"] > 3


@pytest.mark.parametrize("size", [(1, 1), (31, 33), (96, 64), (65, 129)])
def test_every_size_comes_back(hyperprior: Hyperprior, size: tuple[int, int]) -> None:
    image = np.asarray(picture(*size))
    model = hyperprior.entropy_model
    data = pack(hyperprior.analyse(image, 128), model)
    decoded = unpack(data, *size, model)
    assert hyperprior.synthesise(decoded, *size).shape == image.shape


def test_files_cost_what_the_model_estimates(hyperprior: Hyperprior) -> None:
    image = np.asarray(picture(256, 192))
    data = pack(hyperprior.analyse(image, 255), hyperprior.entropy_model)
    x = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        likelihoods = hyperprior(x, torch.ones(1))["likelihoods"]
    estimate = sum(float(-v.double().log2().sum()) for v in likelihoods.values()) / 8
    assert abs(len(data) - estimate) <= 0.01 * estimate + 16


def test_weights_survive_the_file(tmp_path: Path) -> None:
    model, path = tiny_hyperprior(), tmp_path / "w.safetensors"
    save_hyperprior(model, path)
    loaded = load_hyperprior(path)
    for (name, a), (_, b) in zip(model.named_parameters(), loaded.named_parameters(), strict=True):
        assert torch.allclose(a, b, atol=2e-3, rtol=2e-3), name
    image = np.asarray(picture())
    original = pack(model.analyse(image, 99), model.entropy_model)
    assert loaded.entropy_model.checksum == model.entropy_model.checksum == entropy_model.load(path).checksum
    assert abs(len(pack(loaded.analyse(image, 99), loaded.entropy_model)) - len(original)) <= 8


def test_features_and_contexts_of_the_entropy_model_have_their_own_sizes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Hyperprior((8, 8, 8, 8), (2, 4), z_channels=3, hyper_channels=8, features=6, context=5).eval()
    with torch.no_grad():
        model.g_a.last.weight.mul_(30)
    save_hyperprior(model, tmp_path / "h.safetensors")
    again = load_hyperprior(tmp_path / "h.safetensors")
    assert again.config == model.config
    assert again.h_a[0].weight.shape[0] == 8
    assert again.slices[1].before.weight.shape == (6, 2, 5, 5)
    latents, data = model.encode(np.asarray(picture(160, 96)), 200)
    assert np.any(latents.y)
    assert unpack(data, 160, 96, again.entropy_model) == latents


def test_missing_and_wrong_weights_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="missing"):
        load_hyperprior(tmp_path / "none.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"no tensors at all")
    with pytest.raises(WeightsError, match="damaged"):
        load_hyperprior(tmp_path / "bad.safetensors")
    with pytest.raises(WeightsError):
        entropy_model.load(tmp_path / "bad.safetensors")


def test_the_residual_block_is_compressais() -> None:
    layers = pytest.importorskip("compressai.layers")
    theirs, ours = layers.ResidualBlock(8, 8), ResidualBlock(8)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 8, 9, 7)
    assert torch.equal(ours(x.clone()), theirs(x.clone()))


def test_training_sees_noise_and_evaluation_does_not() -> None:
    model, x, quality = tiny_hyperprior(), torch.rand(1, 3, 64, 64), torch.ones(1)
    rates = [[float(model.train(mode)(x, quality)["likelihoods"]["y"].sum()) for _ in "ab"] for mode in (True, False)]
    assert rates[0][0] != rates[0][1]
    assert rates[1][0] == rates[1][1]
    assert not [name for name in model.state_dict() if "gaussian" in name]


def test_quality_interpolates_between_levels() -> None:
    weights = level_weights(torch.tensor([0.0, 0.5 / 7, 1.0]))
    assert weights[0].tolist() == [1] + [0] * 7
    assert weights[1].tolist() == pytest.approx([0.5, 0.5] + [0] * 6)
    assert weights[2].tolist() == [0] * 7 + [1]
    gains = GainUnit(2, 1.0, 4.0)(torch.tensor([0.0, 0.5, 1.0]))[:, 0, 0, 0]
    assert gains.tolist() == pytest.approx([1, 2, 4])


def test_both_passes_share_the_board() -> None:
    mask = checkerboard(torch.zeros(1, 1, 3, 4))[0, 0].numpy()
    assert np.array_equal(mask, anchors((3, 4)))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_reads_what_a_cpu_wrote() -> None:
    cpu, gpu = tiny_hyperprior(), tiny_hyperprior().cuda()
    image = np.asarray(picture())
    data = pack(cpu.analyse(image, 99), cpu.entropy_model)
    decoded = unpack(data, 96, 64, gpu.entropy_model)
    difference = cpu.synthesise(decoded, 96, 64).astype(int) - gpu.synthesise(decoded, 96, 64)
    assert np.abs(difference).max() <= 2
