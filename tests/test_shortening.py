"""Shorter forms of text and regions, and files that keep their limit."""

from __future__ import annotations

import numpy as np
import pytest

from misc.bits import container
from misc.bits.regions.maps import RegionMaps
from misc.bits.text.description import Description, Item
from misc.codec import Codec
from misc.errors import BudgetError, InputError
from misc.modes import LEAST, PLANS, Mode, plan_of
from misc.rate_control import AUTO_BPP, TEXT_SHARE, Limit, limit_of
from misc.shortening import NOTHING, Form, first_that_fits, shorter_forms, tell_shortened
from tests.support.images import sample_picture

TEXT = Description(
    "a man rides a horse along the beach",
    (Item("man", "in a blue shirt"), Item("horse", "brown"), Item("beach", "wet sand")),
)
MAPS = RegionMaps(np.arange(3 * 8 * 12).reshape(3, 8, 12) % 5 == 0)
WHOLE = Form(TEXT, MAPS)


def test_items_go_first_then_details_then_words() -> None:
    forms = shorter_forms(Form(TEXT), spare_regions=False, spare_text=False)
    said = [(form.text.overall, [*form.text.items]) for form in forms if form.text is not None]
    overall, (man, horse, beach) = TEXT.overall, TEXT.items
    assert said == [
        (overall, [man, horse, beach]),
        (overall, [man, horse]),
        (overall, [man]),
        (overall, [Item("man")]),
        (overall, []),
        ("a man rides a horse along", []),
        ("a man rides a horse", []),
        ("a man rides", []),
        ("a man", []),
    ]


def test_regions_go_with_their_items() -> None:
    forms = shorter_forms(WHOLE, spare_regions=False, spare_text=False)
    assert all(form.text is not None and form.regions is not None for form in forms)
    assert [len(form.text.items) for form in forms] == [len(form.regions.masks) for form in forms]  # type: ignore[union-attr]
    assert forms[-1].text == Description("", (Item("man"),))
    assert np.array_equal(forms[1].regions.masks, MAPS.masks[:2])  # type: ignore[union-attr]


def test_regions_go_first_where_they_may_and_the_text_last() -> None:
    forms = shorter_forms(WHOLE, spare_regions=True, spare_text=True)
    assert forms[1] == Form(TEXT)
    assert forms[-1] is NOTHING
    alone = shorter_forms(Form(None, MAPS), spare_regions=False, spare_text=False)
    assert [len(form.regions.masks) for form in alone] == [3, 2, 1]  # type: ignore[union-attr]


def test_regions_of_no_items_stay_whole_while_words_go() -> None:
    forms = shorter_forms(Form(Description("a man rides a horse"), MAPS), spare_regions=False, spare_text=False)
    assert len(forms) > 2
    assert all(form.regions is MAPS for form in forms)


@pytest.mark.parametrize("most", range(14))
def test_the_longest_that_fits_is_found_and_each_is_looked_at_once(most: int) -> None:
    sizes, seen = [12, 11, 9, 8, 8, 5, 3, 2], []

    def size(k: int) -> int:
        seen.append(k)
        return sizes[k]

    found = first_that_fits(len(sizes), size, most)
    assert found == next((k for k, each in enumerate(sizes) if each <= most), None)
    assert len(seen) == len(set(seen)) <= 5


def test_what_was_left_out_is_said() -> None:
    assert tell_shortened(WHOLE, WHOLE, 50) == ""
    assert tell_shortened(WHOLE, NOTHING, 5) == "left out, as 5 bytes hold no more: the text, the regions"
    short = Form(Description("a man rides", (Item("man"),)))
    assert tell_shortened(WHOLE, short, 30).endswith("the regions, 2 of 3 items, 5 of 8 words, the details of items")


@pytest.mark.parametrize("mode", ["text", "text+map", "dlsvc", "micro", "misc", "pixel", "auto"])
@pytest.mark.parametrize("budget", [40, 60, 100])
def test_no_file_is_larger_than_its_limit(mode: str, budget: int) -> None:
    told: list[str] = []
    codec = Codec(notice=told.append)
    options = {"description": TEXT, "regions": MAPS, "seed": 0, "reflect": 0}
    try:
        data = codec.encode(sample_picture(192, 128), mode=mode, max_bytes=budget, **options)  # type: ignore[arg-type]
    except BudgetError as error:
        least = int(str(error).split("has ")[1].split()[0])
        assert least > budget
        assert len(codec.encode(sample_picture(192, 128), mode=mode, max_bytes=least, **options)) <= least  # type: ignore[arg-type]
    else:
        assert len(data) <= budget


def test_text_and_regions_have_a_share_where_they_are_words_alone() -> None:
    told: list[str] = []
    codec = Codec(notice=told.append)
    image, budget = sample_picture(192, 128), 200
    options = {"description": TEXT, "regions": MAPS, "max_bytes": budget}
    sections = container.read(codec.encode(image, **options))[1]  # type: ignore[arg-type]
    beside = sum(len(section.payload) for name, section in sections.items() if name != "pixels")
    assert 0 < beside <= TEXT_SHARE * budget
    assert told == [f"left out, as 20 bytes hold no more: {told[0].split(': ')[1]}"]
    assert "the regions" in told[0]
    whole = codec.streams(codec.encode(image, streams=("text", "regions", "pixels"), **options))  # type: ignore[arg-type]
    assert (whole.text, len(told)) == (TEXT, 1)


def test_each_quality_is_coded_once_and_optimised_at_most_thrice(monkeypatch: pytest.MonkeyPatch) -> None:
    codec, tried = Codec(notice=lambda _: None), []
    coded = codec.hyperprior.encode
    monkeypatch.setattr(codec.hyperprior, "encode", lambda pixels, *how: (tried.append(how), coded(pixels, *how))[1])
    tries = []
    for budget in (30, 45, 90):
        tried.clear()
        data = codec.encode(sample_picture(192, 128), description=TEXT, regions=MAPS, max_bytes=budget)
        assert len(data) <= budget
        assert len(tried) == len(set(tried))
        assert sum(effort > 0 for _, effort, _ in tried) <= 3
        tries.append(len(tried))
    assert max(tries) > 1


def test_modes_of_auto() -> None:
    assert plan_of(Mode.AUTO, rate=0.99 * AUTO_BPP) == LEAST
    assert plan_of(Mode.AUTO, rate=AUTO_BPP) == plan_of(Mode.AUTO) == PLANS[Mode.MISC]


def test_auto_without_room_for_pixels_writes_the_text() -> None:
    told: list[str] = []
    codec = Codec(notice=told.append)
    image = sample_picture(192, 128)
    budget = len(codec.encode(image, mode="pixel", quality=0)) - 1
    data = codec.encode(image, mode="auto", max_bytes=budget, description=TEXT, regions=MAPS, seed=0)
    assert set(container.read(data)[1]) == {"text"}
    assert told[0].startswith("no pixels are written: the smallest file")


def test_limits() -> None:
    size = (1024, 1024)
    assert limit_of(size, pixels=True) == Limit(3145)
    assert limit_of(size, pixels=False) == Limit()
    assert limit_of(size, ubpp=100, pixels=False, of_code=True) == Limit(None, 104)
    assert limit_of(size, ubpp=100, pixels=False) == Limit(13)
    assert limit_of(size, bpp=1e-4, pixels=True) == Limit(13)
    assert limit_of(size, quality=3, pixels=True) == Limit()
    for wrong in ({"ubpp": -1.0}, {"ubpp": float("nan")}, {"bpp": 1e308}, {"ubpp": 5.0, "bpp": 0.1}, {"max_bytes": -1}):
        with pytest.raises(InputError):
            limit_of(size, pixels=True, **wrong)  # type: ignore[arg-type]
