"""Range coder: integers under integer frequency tables, to the shortest byte string and back.

    symbols ─► RangeEncoder.encode(symbols, table) ─► finish() ─► bytes ─► RangeDecoder.decode(table, count)

The coder is constriction's (64-bit state, 32-bit words, 24-bit probabilities); its words are written big-endian.
A decoder reads zero bytes past the end, so the encoder leaves out final bytes that zeros can replace. Tables are passed
to constriction as `frequency - 1`. It adds one to every symbol and scales by exactly 1, so it uses the integers given
here, whatever the machine's floating point.
"""

from __future__ import annotations

import constriction
import numpy as np
import numpy.typing as npt

from ...errors import BitstreamError

__all__ = ["PRECISION", "TOTAL", "FrequencyTable", "RangeDecoder", "RangeEncoder"]

PRECISION = 24
TOTAL = 1 << PRECISION
RAW_BITS = 16

Ints = npt.NDArray[np.int32]


class FrequencyTable:
    """Frequencies of the symbols 0 to n - 1 as positive integers that add up to `TOTAL`; n >= 2."""

    def __init__(self, frequencies: npt.ArrayLike) -> None:
        counts = np.asarray(frequencies, dtype=np.int64)
        if counts.ndim != 1 or counts.size < 2 or counts.min() < 1 or counts.sum() != TOTAL:
            raise ValueError(f"a frequency table needs two or more positive integers that add up to {TOTAL}")
        self.frequencies = counts
        self.model = constriction.stream.model.Categorical((counts - 1).astype(np.float64), perfect=False)


RAW = FrequencyTable(np.full(1 << RAW_BITS, TOTAL >> RAW_BITS))


class RangeEncoder:
    """Collects symbols; `finish` returns the bytes."""

    def __init__(self) -> None:
        self._coder = constriction.stream.queue.RangeEncoder()

    def encode(self, symbols: npt.ArrayLike, table: FrequencyTable) -> None:
        """Append symbols: integers (n,) in the table's range, else ValueError."""
        values = np.asarray(symbols, dtype=np.int32).reshape(-1)
        if values.size and (values.min() < 0 or values.max() >= table.frequencies.size):
            raise ValueError("symbol outside the table")
        self._coder.encode(values, table.model)

    def encode_raw(self, values: npt.ArrayLike) -> None:
        """Append integers (n,) in [0, 2^16) at 16 bits each."""
        self.encode(values, RAW)

    def finish(self) -> bytes:
        """The shortest bytes that decode to the symbols so far when followed by zeros."""
        position, (lower, width) = self._coder.pos()
        bits = 32 * position + 64
        words = self._coder.get_compressed()
        sealed = int.from_bytes(words.astype(">u4").tobytes(), "big") << (bits - 32 * words.size)
        start = sealed - ((sealed - lower) % (1 << 64))
        for unit in range(64, -8, -8):  # the interval is at most 2^64 wide
            value = -(-start >> unit)
            if value << unit < start + width:
                break
        return bytes(value.to_bytes((bits - unit) // 8, "big").rstrip(b"\0"))


class RangeDecoder:
    """Decodes the bytes of a RangeEncoder, given the same tables in the same order."""

    def __init__(self, data: bytes) -> None:
        padded = data + bytes(8 + -len(data) % 4)
        self._coder = constriction.stream.queue.RangeDecoder(np.frombuffer(padded, ">u4").astype(np.uint32))

    def decode(self, table: FrequencyTable, count: int) -> Ints:
        """The next `count` symbols, (count,) int32.

        Raises:
            BitstreamError: no symbols under this table give these bytes.
        """
        try:
            symbols: Ints = self._coder.decode(table.model, count)
        except AssertionError as error:
            raise BitstreamError("the entropy-coded data is damaged") from error
        return symbols

    def decode_raw(self, count: int) -> Ints:
        """The next `count` integers of 16 bits."""
        return self.decode(RAW, count)
