"""Limits of a file: what is refused, and the bytes that a rate gives."""

from typing import Any

import pytest

from misc.errors import UsageError
from misc.rate_control import limit_of

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
