"""Text coders 4 and 5: a range coder under an exact neural language model (misc.bits.arithmetic.transformer).

    text ─► lines of tokens ─► P(token | prefix, tokens so far) ─► frequencies ─► range coder ─► bytes

The model has first read a fixed prefix of example texts. Its keys and values are stored with the weights. The first
symbol selects the prefix (captions, descriptions, structured). The last token of a text is a terminator, which no text
contains. Logits become frequencies by integer arithmetic, so encoder and decoder agree on every machine.

A token may cost almost no bits, but decoding it always costs one step of the network. To bound the work for few bytes,
the number of tokens is limited, and every token is charged at least one bit. If the charges exceed the bits of the
text's bytes, encoder and decoder refuse the text.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import BitstreamError, LimitError, WeightsError
from ...weights.safe import load, refusing
from ..arithmetic.elementwise import exact_exp
from ..arithmetic.one_thread import one_blas_thread
from ..arithmetic.range_coder import PRECISION, TOTAL, FrequencyTable, RangeDecoder, RangeEncoder
from ..arithmetic.transformer import Cache, Config, Transformer
from .byte_pairs import BytePairs
from .model_file import ModelCoder, ModelFile

__all__ = ["LanguageModel", "Model", "ModelFile", "frequencies", "load_model"]

SHARE_BITS = 26
SLACK_BITS = 32

F64 = npt.NDArray[np.float64]


def frequencies(logits: F64) -> npt.NDArray[np.int64]:
    """Positive integers that add up to 2^24 and follow the soft-max of logits (vocabulary,)."""
    shares = exact_exp(logits - logits.max())
    shares *= 2.0**SHARE_BITS
    np.floor(shares, out=shares)
    total, largest = shares.sum(), shares.argmax()
    shares *= float(TOTAL - logits.size)
    shares /= total
    counts = shares.astype(np.int64)  # rounded down
    counts += 1
    counts[largest] += TOTAL - counts.sum()
    return counts


@dataclass(frozen=True)
class Prefix:
    """The model's state after a prefix: its cache and the logits (vocabulary,) of the next token."""

    cache: Cache
    logits: F64


@dataclass(frozen=True)
class Model:
    """A transformer with its vocabulary and prefixes.

    Attributes:
        line_break, terminator: tokens between lines and after a text.
        prefixes: states before a text; the encoder takes the one that gives the fewest bits.
        shares: (prefixes,) relative frequency with which each is chosen, positive integers.
        choice: frequencies of the prefixes.
        sharpness: factor of the logits, above 0.
    """

    transformer: Transformer
    vocabulary: BytePairs
    line_break: int
    terminator: int
    prefixes: tuple[Prefix, ...]
    shares: npt.NDArray[np.int64]
    choice: FrequencyTable
    sharpness: float

    def frequencies(self, logits: F64) -> npt.NDArray[np.int64]:
        """Frequencies of the next token after logits (vocabulary,)."""
        return frequencies(logits * self.sharpness)

    def tokens(self, text: str) -> list[int]:
        """Tokens of a text and the terminator."""
        lines = [self.vocabulary.encode(line) for line in text.split("\n")]
        joined = [token for line in lines for token in (self.line_break, *line)][1:]
        return [*joined, self.terminator]


def load_model(path: Path) -> Model:
    """The model of a file that `misc.models.language_model.integers` wrote.

    Raises:
        WeightsError: the file is missing, damaged or no such model.
    """
    with refusing(path, "a language model"):
        return model_of(load(path).tensors)


def model_of(arrays: dict[str, npt.NDArray[Any]]) -> Model:
    """The model of the arrays of such a file; raises all kinds of errors for arrays that are not."""
    facts: dict[str, Any] = json.loads(arrays["facts"].tobytes())
    transformer = Transformer(Config(**facts["config"]), arrays)
    if len(facts["tokens"]) != transformer.config.vocabulary:
        raise ValueError("the vocabulary has another size than the network")
    vocabulary = BytePairs(facts["tokens"], facts["merges"], facts["special"])
    shares = np.array(facts["prefix_shares"])
    prefixes = tuple(unpack_prefix(transformer, arrays, i) for i in range(len(shares)))
    return Model(
        transformer,
        vocabulary,
        facts["line_break"],
        facts["terminator"],
        prefixes,
        shares,
        FrequencyTable(spread_shares(shares)),
        facts["sharpness"],
    )


def unpack_prefix(transformer: Transformer, arrays: dict[str, npt.NDArray[Any]], number: int) -> Prefix:
    """The cache of a prefix, from integers: keys int16 and their exponents int8, values int32."""
    keys, exponents, values = (arrays[f"prefix.{number}.{part}"] for part in ("keys", "key_exponents", "values"))
    c, logits = transformer.config, arrays[f"prefix.{number}.logits"]
    if keys.shape != (c.layers, c.kv_heads, keys.shape[2], c.head_width) or logits.shape != (c.vocabulary,):
        raise ValueError(f"prefix {number} is of another network")
    cache = transformer.cache(keys.shape[2])
    cache.length = keys.shape[2]
    for layer in range(transformer.config.layers):
        cache.keys[layer][:, : cache.length] = keys[layer]
        cache.key_scales[layer][:, : cache.length] = np.ldexp(1.0, exponents[layer].astype(np.int32))
        cache.values[layer][:, : cache.length] = values[layer]
    return Prefix(cache, logits)


def spread_shares(shares: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Frequencies that add up to 2^24, in proportion to shares (prefixes,); a single prefix leaves one count unused."""
    shares = shares if shares.size > 1 else np.array([TOTAL - 1, 1])
    counts = TOTAL // int(shares.sum()) * shares
    counts[0] += TOTAL - counts.sum()
    return counts


class LanguageModel(ModelCoder):
    """The coder of one model file; arguments as `ModelCoder`."""

    @functools.cached_property
    def model(self) -> Model:
        """The model, with room for the longest text after the longest prefix."""
        model = load_model(self.file.sound_path())
        longest = max(prefix.cache.length for prefix in model.prefixes)
        if longest + self.most > model.transformer.config.positions:
            raise WeightsError(f"the language model {self.path.name} has too few positions")
        return model

    def keeps(self, text: str) -> bool:
        """Always."""
        return True

    def pack(self, text: str) -> bytes:
        """The prefix that suits best, then the tokens; LimitError for a text of too many tokens."""
        tokens = np.array(self.model.tokens(text))
        if len(tokens) > self.most:
            raise LimitError(f"the text is too long for {self.name}")
        tables = [self._tables(prefix, tokens) for prefix in self.model.prefixes]
        costs = [float(-np.log2(rows[np.arange(len(tokens)), tokens] / TOTAL).sum()) for rows in tables]
        best = int(np.argmin(costs - np.log2(self.model.shares)))
        coder = RangeEncoder()
        coder.encode([best], self.model.choice)
        spent = 0
        for row, token in zip(tables[best], tokens, strict=True):
            coder.encode([token], FrequencyTable(row))
            spent += charge(int(row[token]))
        data = coder.finish()
        if spent > 8 * len(data) + SLACK_BITS:
            raise LimitError(f"the text has more tokens than its bytes by {self.name} may give")
        return data

    def unpack(self, data: bytes) -> str:
        """The text; BitstreamError for bytes that `pack` never writes."""
        with one_blas_thread:
            return self._unpack(data)

    def _unpack(self, data: bytes) -> str:
        """As `unpack`, by as many threads as there are."""
        model, coder = self.model, RangeDecoder(data)
        chosen = int(coder.decode(model.choice, 1)[0])
        if chosen >= len(model.prefixes):
            raise BitstreamError("the text stream is damaged")
        prefix = model.prefixes[chosen]
        cache, logits = prefix.cache.copy(self.most), prefix.logits
        tokens: list[int] = []
        left = 8 * len(data) + SLACK_BITS
        while left > 0 and len(tokens) < self.most:
            if tokens:
                logits = model.transformer(tokens[-1:], cache)[0]
            row = model.frequencies(logits)
            token = int(coder.decode(FrequencyTable(row), 1)[0])
            left -= charge(int(row[token]))
            if token == model.terminator and left >= 0:
                return model.vocabulary.decode(tokens)
            tokens.append(token)
        raise BitstreamError("the text stream is damaged")

    def _tables(self, prefix: Prefix, tokens: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """(T, vocabulary) frequencies of every position, in one pass over all positions."""
        rows = [prefix.logits[None]]
        if len(tokens) > 1:
            rows.append(self.model.transformer(tokens[:-1], prefix.cache.copy(len(tokens))))
        return np.stack([self.model.frequencies(row) for row in np.concatenate(rows)])


def charge(frequency: int) -> int:
    """Bits charged for a token of this frequency: its cost rounded down to whole bits, but at least one."""
    return max(1, PRECISION - frequency.bit_length())
