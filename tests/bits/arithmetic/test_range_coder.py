import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from misc.bits.arithmetic.range_coder import RAW, TOTAL, FrequencyTable, RangeDecoder, RangeEncoder
from misc.errors import BitstreamError

SKEWED = FrequencyTable([TOTAL - 3, 1, 1, 1])
EVEN = FrequencyTable([TOTAL // 4] * 4)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=200))
def test_what_goes_in_comes_out(symbols: list[tuple[bool, int]]) -> None:
    encoder = RangeEncoder()
    for skewed, symbol in symbols:
        encoder.encode([symbol], SKEWED if skewed else EVEN)
    decoder = RangeDecoder(encoder.finish())
    assert [int(decoder.decode(SKEWED if skewed else EVEN, 1)[0]) for skewed, _ in symbols] == [s for _, s in symbols]


def test_the_bytes_are_fixed() -> None:
    encoder = RangeEncoder()
    encoder.encode([0, 1, 2, 3, 3, 2, 1, 0], EVEN)
    assert encoder.finish() == bytes([0b00011011, 0b11100100])  # two bits a symbol, nothing else


def test_sizes_are_the_shortest() -> None:
    for count, expected in ((0, 0), (1, 0), (1000, 0)):
        encoder = RangeEncoder()
        encoder.encode(np.zeros(count, int), SKEWED)
        assert len(encoder.finish()) == expected
    draw = np.random.default_rng(0)
    for count in range(1, 40):
        symbols = draw.integers(0, 4, count)
        encoder = RangeEncoder()
        encoder.encode(symbols, EVEN)
        assert len(encoder.finish()) <= -(-count // 4) + 1


def test_the_tables_are_used_as_they_are() -> None:
    """A symbol of frequency 2^24 - 3 costs its own information and no more: the integers are not re-estimated."""
    encoder = RangeEncoder()
    encoder.encode(np.zeros(2_000_000, int), SKEWED)
    encoder.encode([1], SKEWED)
    bits = -2_000_000 * np.log2(1 - 3 / TOTAL) + 24
    assert abs(8 * len(encoder.finish()) - bits) <= 8


def test_raw_values() -> None:
    encoder = RangeEncoder()
    encoder.encode_raw([0, 65535, 4660])
    data = encoder.finish()
    assert len(data) == 6
    assert RangeDecoder(data).decode_raw(3).tolist() == [0, 65535, 4660]
    assert RAW.frequencies.sum() == TOTAL


@given(st.binary(max_size=64))
def test_any_bytes_decode_or_fail_cleanly(data: bytes) -> None:
    try:
        symbols = RangeDecoder(data).decode(EVEN, 1000)
    except BitstreamError:
        return
    assert symbols.min() >= 0
    assert symbols.max() <= 3


@pytest.mark.parametrize("frequencies", [[TOTAL], [TOTAL, 0], [1, 2], [TOTAL + 1, -1], [[1, TOTAL - 1]]])
def test_bad_tables_are_refused(frequencies: list[int]) -> None:
    with pytest.raises(ValueError, match="frequency table"):
        FrequencyTable(frequencies)


def test_symbols_outside_the_table_are_refused() -> None:
    with pytest.raises(ValueError, match="outside"):
        RangeEncoder().encode([4], EVEN)


def test_two_million_symbols_a_second() -> None:
    symbols = np.random.default_rng(0).integers(0, 4, 2_000_000)
    start = time.perf_counter()
    encoder = RangeEncoder()
    encoder.encode(symbols, EVEN)
    decoded = RangeDecoder(encoder.finish()).decode(EVEN, symbols.size)
    assert time.perf_counter() - start < 2.0  # both ways, with room for a busy machine
    assert np.array_equal(decoded, symbols)


def test_zeros_at_the_end_are_not_written() -> None:
    encoder = RangeEncoder()
    encoder.encode_raw([0] * 20)
    assert encoder.finish() == b""
    assert RangeDecoder(b"").decode_raw(20).tolist() == [0] * 20
