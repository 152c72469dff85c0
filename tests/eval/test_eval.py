import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageFilter

from misc.eval import baselines
from misc.eval.metrics import Reference, StLpips, mean_of
from misc.eval.pixel_stream import by_budget, curve
from misc.eval.report.bjontegaard import rate_difference
from tests.support.images import sample_picture as picture


def test_half_the_rate_is_minus_fifty_percent() -> None:
    anchor = [(0.01 * 1.5**i, 20.0 + i) for i in range(6)]
    test = [(rate / 2, value) for rate, value in anchor]
    assert rate_difference(anchor, test, rises=True) == pytest.approx(-50, abs=0.1)
    falling = [(rate, 1 - value / 100) for rate, value in anchor]
    assert rate_difference(falling, [(rate * 2, value) for rate, value in falling], rises=False) == pytest.approx(
        100, abs=0.1
    )
    assert rate_difference(anchor, [(rate, value + 50) for rate, value in test], rises=True) is None


def test_curves_take_budgets_that_every_photo_meets() -> None:
    photos = [
        {"0.02": {"bpp": 0.02, "psnr": 20.0}, "0.03": {"bpp": 0.03, "psnr": 22.0}},
        {"0.03": {"bpp": 0.02, "psnr": 20.0}},
    ]
    assert curve(photos, "psnr", nested=False) == [(pytest.approx(0.025), 21.0)]


def test_st_lpips_orders_pictures() -> None:
    image = picture(128, 96)
    reference = Reference(image, StLpips())
    slight, strong = (reference.measure(image.filter(ImageFilter.GaussianBlur(r))) for r in (1, 4))
    assert reference.measure(image)["st_lpips"] == pytest.approx(0, abs=1e-6)
    assert 0 < slight["st_lpips"] < strong["st_lpips"]
    assert slight["psnr"] > strong["psnr"]
    assert mean_of([slight, slight]) == pytest.approx(slight)


def test_st_lpips_is_its_authors() -> None:
    import torch
    from torchvision.transforms.functional import to_tensor

    metric = StLpips()
    a, b = picture(128, 96), picture(128, 96, seed=1)
    with torch.no_grad():
        theirs = float(metric.model(to_tensor(a)[None], to_tensor(b)[None], normalize=True))
    assert metric.distance(metric.features(a), metric.features(b)) == pytest.approx(theirs, rel=1e-4)


def test_points_of_a_curve_stand_in_the_rows_of_their_budgets() -> None:
    assert by_budget([(0.0195, 22.8), (0.0232, 23.1), (0.04, 24.3)]) == {
        0.02: (0.0195, 22.8),
        0.024: (0.0232, 23.1),
        0.04: (0.04, 24.3),
    }


def test_baselines_keep_to_the_budget() -> None:
    image = picture(256, 192)
    best = baselines.best_of(image, StLpips(), (0.05, 0.2))
    assert best["0.2"]["psnr"]["bpp"] <= 0.2
    assert best["0.2"]["psnr"]["psnr"] >= best["0.05"]["psnr"]["psnr"]
    assert {row["codec"].split()[0] for row in best["0.2"].values()} <= set(baselines.CODECS)


@pytest.mark.slow(why="it draws a real image, in a process of its own")
@pytest.mark.parametrize("photo", [None, "own.jpg"])
def test_the_demo_draws_from_the_file_alone(tmp_path: Path, photo: str | None) -> None:
    options = []
    if photo:
        picture(192, 128).save(tmp_path / photo)
        options = ["--photo", str(tmp_path / photo), "--bpp", "0.2"]
    command = [sys.executable, "-m", "misc.eval.demo", "--out", str(tmp_path / "demo"), "--no-pull", *options]
    nothing_pulled = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(command, env=nothing_pulled, capture_output=True, text=True, check=True)
    assert "whole file" in done.stdout
    sheet = Image.open(tmp_path / "demo" / "side_by_side.png")
    size = Image.open(tmp_path / "demo" / "decoded.png").size
    assert sheet.width == 2 * size[0] + 8
    limit = (0.2 if photo else 0.024) * size[0] * size[1] / 8
    assert (tmp_path / "demo" / "photo.misc").stat().st_size <= limit


def test_pixel_stream_prints_and_writes_its_figures(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    picture(192, 128).save(folder / "a.png")
    points = {
        str(bpp): {f: {"bpp": bpp, f: v} for f, v in (("psnr", 15 + 100 * bpp), ("st_lpips", 0.9 - bpp))}
        for bpp in baselines.BUDGETS
    }
    (tmp_path / "known.json").write_text(json.dumps({"a.png": points}))
    command = [
        sys.executable,
        "-m",
        "misc.eval.pixel_stream",
        "--data",
        str(folder),
        "--json",
        str(tmp_path / "out.json"),
        "--effort",
        "1",
    ]
    done = subprocess.run(
        [*command, "--baselines", str(tmp_path / "known.json")], capture_output=True, text=True, check=True
    )
    result = json.loads((tmp_path / "out.json").read_text())
    assert result["photos"] == 1
    assert result["speed"]["coder_encode_per_s"] > 0
    assert (
        abs(result["estimate"]["file"] - result["estimate"]["estimate"]) <= 0.01 * result["estimate"]["estimate"] + 16
    )
    assert "bd_rate_percent" in done.stdout
