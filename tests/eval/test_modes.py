"""The table of modes: bits add up to the file, means and standard errors are those of the photos."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from misc.bits import container
from misc.bits.text.description import Description, Item
from misc.codec import Codec
from misc.eval.modes import ROWS, STEPS, Row, bits_of, costs_of, gains, measure, summarise
from misc.eval.modes_table import gains_line, markdown_of, table_of
from misc.modes import MODES
from tests.support.images import sample_picture

TEXT = Description("a cat on a bench", (Item("cat"),))

ROOT = Path(__file__).parents[2]


def test_all_modes_are_measured() -> None:
    assert set(MODES) | {"auto"} == {row.options["mode"] for row in ROWS}


def test_figures_of_a_photo() -> None:
    codec, photo = Codec(), sample_picture(64, 48)
    codec.see = lambda image: (TEXT, None)  # type: ignore[method-assign]
    codec.decode = lambda data: Image.new("RGB", (64, 48))  # type: ignore[method-assign, assignment]
    panel: Any = SimpleNamespace(compare=lambda a, b: {"psnr": 20.0})
    rows = [
        Row("pixels", {"mode": "pixel", "quality": 9, "seed": 0}),
        Row("both", {"streams": ["text", "pixels"], "mode": None, "quality": 9, "seed": 0}),
        Row("small", {"mode": "pixel", "max_bytes": 3}),
    ]
    figures = measure(codec, panel, photo, rows)
    for name, mode in (("pixels", {"mode": "pixel"}), ("both", {"streams": ["text", "pixels"]})):
        data = codec.encode(photo, quality=9, seed=0, description=TEXT, **mode)  # type: ignore[arg-type]
        row = figures[name]
        assert row["bpp"] == 8 * len(data) / (64 * 48)
        bits = bits_of(data)
        assert sum(bits.values()) == 8 * len(data)
        assert {key: row[key] for key in bits} == bits
        assert row["text_bits"] == (8 * len(container.read(data)[1]["text"].payload) if name == "both" else 0)
        assert row["psnr"] == 20.0
    assert figures["small"]["missing"].startswith("the smallest file")


def test_a_photo_without_items_has_no_regions_and_does_not_stop_the_rest() -> None:
    codec = Codec()
    codec.see = lambda image: (Description("a cat"), None)  # type: ignore[method-assign]
    figures = measure(codec, None, sample_picture(64, 48), [Row("text+map", {"mode": "text+map"})])  # type: ignore[arg-type]
    assert figures == {"text+map": {"missing": "the text names no item, so there are no regions to write"}}


def test_means_and_errors() -> None:
    def figures(psnr: float) -> dict[str, Any]:
        return {
            "text_bits": 8, "regions_bits": 0, "pixels_bits": 0, "overhead_bits": 8,
            "bpp": psnr / 100, "psnr": psnr, "encode_s": 1.0, "decode_s": 2.0,
        }  # fmt: skip

    rows = [Row("a", {}), Row("b", {})]
    photos = [{"a": figures(10.0), "b": {"missing": "no"}}, {"a": figures(14.0), "b": {"missing": "no"}}]
    result = summarise(photos, rows)
    assert (result["a"]["photos"], result["a"]["psnr"]) == (2, 12.0)
    assert math.isclose(result["a"]["psnr_error"], 2.0)
    assert result["b"] == {"photos": 0, "missing": "no"}
    assert summarise(photos[:1], rows[:1])["a"]["psnr_error"] is None
    assert table_of(result, "t").row_count == 2
    assert markdown_of({"b": result["b"]}).splitlines()[2] == "| b | 0 |"
    json.dumps(result, allow_nan=False)


def test_gains_are_by_photo() -> None:
    def photo(less: float, more: float) -> dict[str, Any]:
        rows = {name: {"vit_patch": less, "vit_mean": less, "clip": less} for name, _ in STEPS}
        return rows | {name: {"vit_patch": more, "vit_mean": less, "clip": less} for _, name in STEPS[1:]}

    found = gains([photo(0.1, 0.2), photo(0.5, 0.4), photo(0.1, 0.4)])["pixel to misc"]
    assert found["mean"] == pytest.approx(0.1)
    assert found["least"] == pytest.approx(-0.1)
    assert found["error"] == pytest.approx(0.2 / math.sqrt(3))
    missing = photo(0.1, 0.2) | {"misc": {"missing": "no room"}}
    assert "pixel to misc" not in gains([missing, photo(0.1, 0.2)])


def test_words_cost_less_with_all_their_letters() -> None:
    bits = costs_of(TEXT, Codec().profile.text_coders)
    assert bits["consonants"] == 4 * len("ct n bnch ct")
    assert 0 < bits["letters"] < 8 * len("a cat on a bench cat")


def test_the_page_has_the_committed_figures() -> None:
    result = json.loads((ROOT / "docs/results/modes.json").read_text())
    page = (ROOT / "docs/modes.md").read_text()
    assert list(result["modes"]) == [row.name for row in ROWS]
    assert markdown_of(result["modes"]) in page
    assert len(result["gains"]) == len(STEPS)
    assert all(f"- {gains_line(step, gain)}" in page for step, gain in result["gains"].items())
