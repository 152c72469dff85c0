"""The README's table of the decoder is that of the committed figures."""

from __future__ import annotations

import json
from pathlib import Path

from misc.eval.decoder import COLUMNS, markdown_of

ROOT = Path(__file__).parents[2]


def test_the_decoders_table_is_the_committed_one() -> None:
    result = json.loads((ROOT / "docs/results/decoder.json").read_text())
    table = markdown_of(result)
    assert table.count("\n") == len(result["rows"]) + 1
    assert table in (ROOT / "README.md").read_text()


def test_the_committed_figures_are_means_of_the_photos() -> None:
    result = json.loads((ROOT / "docs/results/decoder.json").read_text())
    assert result["photos"] == len(result["per_photo"]) == 24
    for name, row in result["rows"].items():
        each = [photo[name] for photo in result["per_photo"].values() if name in photo]
        for column in COLUMNS:
            mean = sum(photo[column] for photo in each) / len(each)
            assert abs(mean - row[column]) < 1e-6, (name, column)


def test_no_file_is_over_its_rate() -> None:
    result = json.loads((ROOT / "docs/results/decoder.json").read_text())
    with_pixels = ("pixel", "text+pixel", "misc", "AVIF/4 -> x4plus")
    for photo in result["per_photo"].values():
        assert all(photo[name]["bpp"] <= 0.024 for name in with_pixels if name in photo)
