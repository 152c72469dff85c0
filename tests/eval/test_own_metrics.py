"""Metrics of other packages, by the entry-point group, in a run of its own processes."""

import os
import subprocess
import sys
from pathlib import Path

from misc.eval.store import read_json
from tests.support.images import sample_picture

MODULE = """
import numpy as np


class WorstPixel:
    label, rises, unit = "Worst pixel", False, "levels"
    what = "Largest difference."

    def __call__(self, original, image):
        return float(np.abs(np.asarray(original, float) - np.asarray(image, float)).max())


class Fails:
    label, rises = "Fails", True

    def __call__(self, original, image):
        raise ValueError("out of order\\nsecond line")


class NoLabel:
    rises = True

    def __call__(self, original, image):
        return 0.0
"""
ENTRIES = """[misc.metrics]
worst = theirs:WorstPixel
bare = theirs:NoLabel
gone = absent:Metric
ssim = theirs:Fails
fails = theirs:Fails
"""


def run_with_package(tmp_path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """`misc eval run` on a photo, with the other package on Python's path."""
    package, photos = tmp_path / "package", tmp_path / "photos"
    (package / "theirs-1.dist-info").mkdir(parents=True, exist_ok=True)
    (package / "theirs.py").write_text(MODULE)
    (package / "theirs-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1\n")
    (package / "theirs-1.dist-info" / "entry_points.txt").write_text(ENTRIES)
    photos.mkdir(exist_ok=True)
    sample_picture(96, 64).save(photos / "photo.png")
    command = [sys.executable, "-m", "misc", "eval", "run", str(photos), "--out", str(tmp_path / "out")]
    return subprocess.run(
        [*command, "--codecs", "jpeg", "--bpp", "4", *options],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(package), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_class_of_another_package_is_measured_and_reported(tmp_path: Path) -> None:
    done = run_with_package(tmp_path, "--metrics", "psnr,worst,fails")
    assert done.returncode == 0, done.stderr
    results = read_json(tmp_path / "out" / "results.json")
    assert results["metrics"]["worst"] == {
        "label": "Worst pixel",
        "unit": "levels",
        "rises": False,
        "role": "reports",
        "what": "Largest difference.",
    }
    point = results["codecs"]["jpeg"]["points"]["photo.png"]["4"]
    assert 0 < point["values"]["worst"] < 256
    assert point["missing"] == {"fails": "metric fails failed: ValueError: out of order"}
    assert point["values"]["psnr"] > 10
    assert (tmp_path / "out" / "plots" / "worst.svg").is_file()


def test_a_class_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    for name, reason in (("bare", "it is no class with `label` and `rises`"), ("gone", "No module named 'absent'")):
        done = run_with_package(tmp_path, "--metrics", f"psnr,{name}")
        assert done.returncode == 2
        assert f"metric {name} cannot be used" in done.stderr
        assert reason in done.stderr
        assert "Traceback" not in done.stderr


def test_without_a_choice_what_cannot_be_used_is_left_out_with_the_reason(tmp_path: Path) -> None:
    done = run_with_package(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "metric bare is left out: it is no class with `label` and `rises`\n" in done.stderr
    assert "metric gone is left out: ModuleNotFoundError: No module named 'absent'\n" in done.stderr
    assert "metric ssim is left out: a built-in metric has this name\n" in done.stderr
    values = read_json(tmp_path / "out" / "results.json")["codecs"]["jpeg"]["points"]["photo.png"]["4"]["values"]
    assert 0.5 < values["ssim"] < 1, "the built-in metric stays"
    assert values["worst"] > 0
