"""The decoder's timing, with tiny networks."""

import json
from pathlib import Path

import pytest
import torch
import typer

from misc.eval.speed import SIZES, TINY_SIZES, image_of_size, main
from misc.eval.speed import measure as measure_speed
from tests.support.images import sample_picture


def test_it_is_timed_beside_diffusers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    target = tmp_path / "speed.json"
    main("sd15-tile", tiny=True, steps=1, runs=1, json_file=target)
    torch.set_num_threads(threads)
    result = json.loads(target.read_text())
    rows = {(row["way"], row["size"]): row for row in result["rows"]}
    for size in ("64x64", "96x64"):
        for way in ("diffusers", "ours", "ours, three regions"):
            assert rows[way, size]["seconds"] > 0
            assert rows[way, size]["gib"] > 0
    assert "times as fast" in capsys.readouterr().out


def test_its_images(tmp_path: Path) -> None:
    assert SIZES == ((512, 512), (768, 512))
    sample_picture(40, 30).save(tmp_path / "a.png")
    for folder in (None, tmp_path):
        assert image_of_size(folder, *TINY_SIZES[1]).size == (96, 64)


def test_a_profile_that_diffusers_has_no_pipeline_for_is_said() -> None:
    with pytest.raises(typer.BadParameter, match="profile embedded has no decoder that"):
        measure_speed("embedded", random_weights=True)
