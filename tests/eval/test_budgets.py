"""What fits into a limit: words of mode micro, the share of text and regions, and how much of the limit files use."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from misc.bits.regions.maps import RegionMaps
from misc.bits.text import WEIGHTLESS
from misc.bits.text.deflate import Deflate
from misc.bits.text.description import Description, Item
from misc.bits.text.lzw import Lzw
from misc.codec import Codec
from misc.errors import InputError, LimitError
from misc.eval import budget, share, words
from misc.micro import FILL
from misc.models.towers.importance import WordImportance
from tests.support.images import sample_picture
from tests.support.toy_text_tower import ToyTextTower

MAPS = RegionMaps(np.eye(8, 12, dtype=bool)[None])
TEXT = Description("a dog runs over a wet meadow behind a red ball", (Item("dog", "brown"),))
TOWER = ToyTextTower()
IMPORTANCE = WordImportance(lambda texts: TOWER.embed(texts).numpy())
LINES = [
    "A brown dog runs across a wet meadow while two children throw a red rubber ball",
    "An old lighthouse stands on a rocky cliff above the grey sea under heavy clouds",
    "Skyscrapers are illuminated at night and their windows reflected by the river",
]


@pytest.mark.parametrize("ubpp", words.TARGETS)
def test_words_fill_every_target_from_below(ubpp: int) -> None:
    texts = [words.weighed([line], Description(), IMPORTANCE) for line in LINES * 20]
    chosen = words.choose_all(texts, ubpp)
    bits = ubpp * 1024 * 1024 / 1e6
    assert chosen
    assert sum(each.joined for each in chosen) <= len(texts)
    for each in chosen:
        assert FILL * bits - 4 <= each.code_bits <= each.room <= bits
        assert each.code_bits >= FILL * each.room


def test_names_of_items_weigh_more_in_own_descriptions() -> None:
    text = Description("a dog and a heron stand on stones", (Item("heron"),))
    known, weights = words.weighed(text.fields(), text, IMPORTANCE)
    assert known.count("heron") == 2
    assert max(weights) == weights[known.index("heron")]


class Short(Lzw):
    """Carries short texts alone."""

    name = "short"

    def pack(self, text: str) -> bytes:
        if len(text) > 30:
            raise LimitError("the text is too long for short")
        return super().pack(text)


class Forgetful(Deflate):
    name = "forgetful"

    def unpack(self, data: bytes) -> str:
        return super().unpack(data)[1:]


def test_a_row_has_bits_and_bytes_of_every_coder() -> None:
    codec = Codec()
    coders: dict[int, Any] = {4: Short(), 5: Lzw()}
    models = codec.profile.exact_models
    few = words.measure(words.Chosen(["brown", "dog"], 1, 104), coders, models)
    many = words.measure(words.Chosen(LINES[0].lower().split(), 2, 524), coders, models)
    assert few["code_bits"] == 4 * len("brwn dg")
    assert few["code_file_bytes"] == 7 + 1 + 4
    assert few["coders"]["short"]["bits"] == 8 * len(Lzw().pack("brown dog"))
    assert few["coders"]["short"]["file_bytes"] == 7 + 1 + len(Lzw().pack("brown dog"))
    assert many["coders"]["short"] == {"missing": "the text is too long for short"}
    summary = words.summarise([few | {"fill": 0.99}, many | {"fill": 1.0}])
    assert (summary["texts"], summary["least_fill"]) == (2, 0.99)
    assert summary["coders"]["short"]["texts"] == 1
    assert summary["coders"]["short"]["of_code_bits"] == few["coders"]["short"]["bits"] / few["code_bits"]
    both = few["code_bits"] + many["code_bits"]
    assert summary["coders"]["lzw"]["of_code_bits"] == sum(r["coders"]["lzw"]["bits"] for r in (few, many)) / both
    least = sum(min(c["bits"] for c in r["coders"].values() if "bits" in c) for r in (few, many))
    assert summary["coders"]["best"]["of_code_bits"] == least / both
    coders[5] = Forgetful()
    with pytest.raises(AssertionError, match="lost"):
        words.measure(words.Chosen(["brown", "dog"], 1, 104), coders, models)


def test_coders_are_named_and_those_that_are_not_here_are_one_sentence() -> None:
    profile: Any = SimpleNamespace(text_coders={4: Short(), 5: Lzw()})
    assert [coder.name for coder in words.coders_of(profile, "lzw,short").values()] == ["lzw", "short"]
    assert list(words.coders_of(profile, "lzw")) == [5]
    with pytest.raises(InputError, match=r"no coder 'lzv' here; there is short, lzw"):
        words.coders_of(profile, "lzv")


def test_a_share_of_none_leaves_pixels_alone_and_a_larger_one_keeps_more_words(tmp_path: Path) -> None:
    codec = Codec(notice=lambda _: None)
    codec.profile = dataclasses.replace(codec.profile)
    codec.profile.__dict__["text_coders"] = WEIGHTLESS  # the large model takes a second a form
    codec.see = lambda image: (TEXT, MAPS)  # type: ignore[method-assign]
    codec.decode = lambda data: None  # type: ignore[method-assign, assignment, return-value]
    panel: Any = SimpleNamespace(compare=lambda a, b: {"psnr": 20.0})
    figures = share.measure(codec, panel, sample_picture(192, 128), (0.001, 0.15), (0.0, 0.05, 0.2))
    assert set(figures) == {"0.15"}
    row = figures["0.15"]
    assert (row["0"]["words"], row["0"]["with_text"], row["0"]["with_regions"]) == (0, 0, 0)
    assert 0 < row["0.05"]["words"] < row["0.2"]["words"] == 1
    assert all(0.5 < each["used"] <= 1 for each in row.values()), "the highest quality takes some 270 bytes"
    summary = share.summarise([figures, {}])
    assert summary["0.15"]["photos"] == 1
    share.plot(summary, tmp_path / "a.svg")
    assert "words kept" in (tmp_path / "a.svg").read_text()


def test_the_share_is_the_smallest_that_keeps_the_most_words_at_no_cost_that_is_seen() -> None:
    def row(*figures: tuple[float, float, float]) -> dict[str, Any]:
        shares = zip(share.SHARES, figures, strict=True)
        return {"photos": 8} | {f"{s:g}": {"psnr": p, "st_lpips": d, "words": w} for s, (p, d, w) in shares}

    def chosen(*figures: tuple[float, float, float]) -> float:
        return share.choose_share({"0.024": row(*figures)})

    assert chosen((25, 0.4, 0), (25, 0.4, 0.5), (24.95, 0.4, 0.9), (24.95, 0.4, 0.9), (24, 0.4, 1)) == 1 / 20
    assert chosen((25, 0.4, 0), (25, 0.4, 0.5), (24.95, 0.406, 0.9), (24, 0.4, 0.9), (24, 0.4, 1)) == 1 / 40
    assert chosen((25, 0.4, 0), (24, 0.4, 0.5), (24, 0.4, 0.9), (24, 0.4, 0.9), (24, 0.4, 1)) == 0
    noisy = ((25, 0.4, 0), (24.85, 0.4, 0.5), (24.85, 0.4, 0.9), (24.85, 0.4, 1), (24, 0.4, 1))
    assert chosen(*noisy) == 0
    rest = ((25, 0.4, 0), (25, 0.4, 0.5), (25, 0.4, 0.9), (24.96, 0.4, 1), (24, 0.4, 1))
    assert share.choose_share({"0.012": row(*noisy), "0.024": row(*rest)}) == 1 / 10


def test_files_of_a_budget_are_counted_against_it() -> None:
    codec = Codec(notice=lambda _: None)
    codec.profile = dataclasses.replace(codec.profile)
    codec.profile.__dict__["text_coders"] = WEIGHTLESS  # the large model takes a second a form
    codec.see = lambda image: (TEXT, MAPS)  # type: ignore[method-assign]
    photo = sample_picture(192, 128)
    row = budget.measure(codec, photo, 0.15)
    assert row["allowed"] == int(0.15 * 192 * 128 / 8)
    assert 0.5 * row["allowed"] < row["bytes"] <= row["allowed"], "the highest quality takes some 270 bytes"
    bits = sum(row[f"{name}_bits"] for name in ("text", "regions", "pixels", "overhead"))
    assert bits == 8 * row["bytes"]
    above = {**row, "bytes": row["allowed"] + 1, "used": 1.01}
    summary = budget.summarise({"a.png": row, "b.png": above})
    assert (summary["photos"], summary["above"], summary["least_used"]) == (2, 1, row["used"])


def test_the_committed_figures_of_the_budget_keep_it() -> None:
    results = Path(budget.__file__).parents[1] / "docs" / "results"
    figures = json.loads((results / "budget.json").read_text())
    assert (figures["photos"], figures["above"]) == (24, 0)
    assert figures["used"] >= 0.97
    assert all(row["bytes"] <= row["allowed"] for row in figures["files"].values())
