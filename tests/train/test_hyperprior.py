import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import webdataset

from misc.train.data.images import crop_loader, expand_sources, random_crop
from tests.support.images import sample_picture as picture


def test_crops_have_their_size_and_range() -> None:
    import random

    for size in ((300, 200), (40, 50), (64, 64)):
        crop = random_crop(picture(*size), 64, random.Random(0))
        assert crop.shape == (3, 64, 64)
        assert 0 <= float(crop.min()) < float(crop.max()) <= 1


def test_sources_are_shards_images_or_folders(tmp_path: Path) -> None:
    picture().save(tmp_path / "a.png")
    (tmp_path / "b.tar").touch()
    assert expand_sources([tmp_path]) == ([tmp_path / "b.tar"], [tmp_path / "a.png"])
    with pytest.raises(FileNotFoundError, match="does not exist"):
        expand_sources([tmp_path / "none"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no images"):
        expand_sources([tmp_path / "empty"])


def test_shards_give_crops_of_their_photos(tmp_path: Path) -> None:
    with webdataset.TarWriter(str(tmp_path / "photos.tar")) as shard:
        for i in range(4):
            buffer = io.BytesIO()
            picture(120, 90, seed=i).save(buffer, "WEBP")
            shard.write({"__key__": f"{i}", "webp": buffer.getvalue(), "json": {"source": "test"}})
    batch = next(iter(crop_loader([tmp_path / "photos.tar"], 64, 6, seed=0, workers=0)))
    assert batch.shape == (6, 3, 64, 64)
    assert batch.std() > 0.05


def run(*arguments: str) -> dict[str, float]:
    command = [sys.executable, "-m", "misc.train.hyperprior", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def test_training_runs_resumes_and_exports(tmp_path: Path) -> None:
    for i in range(3):
        picture(160, 120, seed=i).save(tmp_path / f"{i}.png")
    out = tmp_path / "out"
    common = ["--data", str(tmp_path), "--out", str(out), "--batch", "2", "--size", "64", "--workers", "0"]
    first = run(*common, "--steps", "2")
    assert first["steps"] == 2
    assert first["bpp"] > 0
    assert torch.load(out / "state.pt", weights_only=True)["step"] == 2
    second = run(*common, "--steps", "3", "--perceptual", "300", "--perceptual-size", "32", "--perceptual-count", "1")
    assert second["steps"] == 3
    assert second["perceptual"] > 0
    weights = out / "hyperprior.safetensors"
    third = run(*common[:2], "--out", str(tmp_path / "again"), *common[4:], "--steps", "1", "--start", str(weights))
    assert third["steps"] == 1
