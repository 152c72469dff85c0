"""Limits of a file: what is refused, and the bytes that a rate gives."""

from typing import Any

import numpy as np
import pytest

from misc.errors import BudgetError, UsageError
from misc.rate_control import (
    FULL,
    TYPICAL_QUALITY,
    TYPICAL_SHARE,
    best_file,
    best_within,
    limit_of,
    typical_octave,
)

SIZE = (768, 512)


@pytest.mark.parametrize(
    ("limit", "sentence"),
    [
        ({"bpp": "0.1"}, "bpp is a number, not '0.1'"),
        ({"ubpp": b"7"}, "ubpp is a number, not b'7'"),
        ({"max_bytes": "900"}, "the largest number of bytes is a whole number, not '900'"),
        ({"max_bytes": 900.5}, "the largest number of bytes is a whole number, not 900.5"),
        ({"max_bytes": -1}, "a number of bytes from 0 up, not -1"),
        ({"bpp": 0.1, "max_bytes": 900}, "give one of"),
    ],
)
def test_what_is_no_limit_is_refused(limit: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        limit_of(SIZE, pixels=True, **limit)


def test_a_rate_is_rounded_down_to_bytes() -> None:
    assert limit_of(SIZE, bpp=0.024, pixels=True).file == 1179  # 0.024 * 768 * 512 / 8 = 1179.6
    assert limit_of(SIZE, ubpp=1000, pixels=False, of_code=True).code == 393
    assert limit_of(SIZE, pixels=False).file is None
    assert limit_of(SIZE, pixels=True).file == 1179


def coder(tried: list[int], factor: float = 1.0) -> Any:
    """A coder whose files grow by 1.4 % with each quality."""

    def code(quality: int) -> bytes:
        tried.append(quality)
        return bytes(round(factor * 300 * 1.014**quality))

    return code


@pytest.mark.parametrize("budget", [301, 1179, 5000, 20_000])
def test_the_highest_quality_within_a_budget_is_found_and_none_is_coded_twice(budget: int) -> None:
    tried: list[int] = []
    quality, data = best_within(coder(tried), budget, SIZE)
    assert len(data) <= budget
    assert quality == 255 or len(coder([])(quality + 1)) > budget
    assert len(tried) == len(set(tried)) < 10


def test_a_search_of_few_tries_begins_where_it_is_told_and_ends_when_the_budget_is_used() -> None:
    tried: list[int] = []
    quality, data = best_within(coder(tried), 1179, SIZE, first=98, tries=3)
    assert (quality, tried) == (98, [98])
    assert 0.99 * 1179 < len(data) <= 1179
    tried.clear()
    quality, data = best_within(coder(tried, factor=1.2), 1179, SIZE, first=98, tries=3)
    assert tried[0] == 98
    assert len(tried) <= 3
    assert 0.95 * 1179 < len(data) <= 1179


@pytest.mark.parametrize(("step", "size"), [(8, 31), (2, 29)])
def test_symbols_stay_rounded_where_optimised_ones_leave_much_of_the_budget(step: int, size: int) -> None:
    def code(quality: int, effort: int) -> bytes:
        return bytes(16 + quality if not effort else 27 if quality < 16 else 27 + step)

    assert len(best_file(code, 6, 31, (192, 128))) == size


@pytest.mark.parametrize("budget", [500, 800, 1179])
def test_the_first_file_with_optimised_symbols_uses_the_budget_of_a_usual_image(budget: int) -> None:
    def size(quality: int) -> float:
        return 2 ** typical_octave(quality) * SIZE[0] * SIZE[1] / 8

    tried: list[int] = []

    def code(quality: int, effort: int) -> bytes:
        if not effort:
            return bytes(round(size(quality)))
        tried.append(quality)
        return bytes(round(size(quality) * np.interp(quality, TYPICAL_QUALITY, TYPICAL_SHARE)))

    assert FULL * budget < len(best_file(code, 6, budget, SIZE)) <= budget
    assert len(tried) == 1
    assert size(tried[0]) > budget


def test_a_search_that_finds_nothing_says_how_small_the_last_file_was() -> None:
    with pytest.raises(BudgetError, match="has 300 bytes"):
        best_within(coder([]), 200, SIZE)
    with pytest.raises(BudgetError):
        best_within(coder([], factor=3.0), 1179, SIZE, first=200, tries=1)
