"""Where mode auto changes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from misc.bits.regions.maps import RegionMaps
from misc.bits.text.description import Description, Item
from misc.codec import Codec
from misc.eval.crossing import crossing, crossings_of, measure, plot, summarise
from tests.support.images import sample_picture

MAPS = RegionMaps(np.eye(8, dtype=bool)[None])


@pytest.mark.parametrize(
    ("pixels", "rate"),
    [
        ((0.1, 0.3, 0.9), 0.002),  # half way between .001 and .004, by logarithms
        ((0.3, 0.3, 0.9), 0.001),
        ((0.1, 0.1, 0.1), None),
        ((0.3, 0.1, 0.2 + 1e-9), 0.016),
    ],
)
def test_the_crossing_is_where_pixels_stay_above(pixels: tuple[float, ...], rate: float | None) -> None:
    found = crossing((0.001, 0.004, 0.016), (0.2, 0.2, 0.2), pixels)
    assert found == (rate if rate is None else pytest.approx(rate, rel=1e-4))


def test_less_may_be_better() -> None:
    rows = {
        rate: {"text and regions": {"st_lpips": 0.7, "clip": 0.3}, "pixels": {"st_lpips": lpips, "clip": clip}}
        for rate, lpips, clip in (("0.001", 0.8, 0.2), ("0.01", 0.6, 0.4))
    }
    found = crossings_of(rows, ["st_lpips", "clip"])
    assert found == {"st_lpips": pytest.approx(0.00316, rel=1e-2), "clip": pytest.approx(0.00316, rel=1e-2)}


@pytest.mark.parametrize(("items", "maps"), [((Item("dog"),), MAPS), ((), None)])
def test_a_rate_that_pixels_do_not_fit_into_is_left_out(
    tmp_path: Path, items: tuple[Item, ...], maps: RegionMaps | None
) -> None:
    codec, photo = Codec(), sample_picture(64, 64)
    codec.see = lambda image: (Description("a dog", items), maps)  # type: ignore[method-assign]
    codec.decode = lambda data: Image.new("RGB", (64, 64))  # type: ignore[method-assign, assignment]
    codec.encode = (  # type: ignore[method-assign]
        lambda image, candidates=1, **options: Codec.encode(codec, image, seed=0, **options)
    )
    panel: Any = SimpleNamespace(compare=lambda a, b: {"psnr": 20.0})
    figures = measure(codec, panel, photo, (0.01, 0.2, 0.4))
    assert set(figures) == {"0.2", "0.4"}
    assert all(row[kind]["bpp"] <= float(rate) for rate, row in figures.items() for kind in row)
    summary = summarise([figures, {}], (0.01, 0.2, 0.4))
    assert [row["photos"] for row in summary.values()] == [1, 1]
    plot(summary, tmp_path / "a.svg")
    assert "PSNR" in (tmp_path / "a.svg").read_text()
