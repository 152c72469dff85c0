"""Text coder 6: words under a small exact network, for the word lists of mode micro and for usual descriptions.

    text ─► words and pieces ─► P(token | style, tokens so far) ─► frequencies ─┐
                       end? ─► P(end | bits left) ──────────────────────────────┴─► range coder ─► bytes

The network is a Transformer (misc.bits.arithmetic.transformer) of two narrow layers. Its vocabulary has one token for
each usual word, and one for each group of rare words. After a group's token follows the index of the word in its group,
more frequent words first. The first symbol is the style: a list of words, or prose with capitals, punctuation marks and
line feeds. The network reads a token for the style before the text. There are several such tokens for lists, one for
each range of the number of bytes, because short lists have rarer words.

No token ends a text. The number of bytes is known from the container, and a text ends when they are nearly used up.
Encoder and decoder count the cost of every symbol in 1/16 bit. Before each token and after the last, a symbol says
whether the text ends. With many bits left, the symbol "continues" costs almost nothing. The encoder uses the smallest
number of bytes that holds the text and appends zeros up to that number; a range decoder reads zeros after its bytes
anyway.
"""

from __future__ import annotations

import functools
import json
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import BitstreamError, LimitError, WeightsError
from ...weights.safe import load, refusing
from ..arithmetic.one_thread import one_blas_thread
from ..arithmetic.range_coder import PRECISION, TOTAL, FrequencyTable, RangeDecoder, RangeEncoder
from ..arithmetic.transformer import Cache, Config, Transformer
from .language_model import frequencies
from .lzw import fold
from .model_file import ModelCoder
from .word_pieces import RARE, WordPieces, unpack_words

__all__ = ["END_LEFT", "UNITS", "WordModel", "Words", "cost", "load_word_model"]

UNITS = 16  # of cost, per bit
MAX_BYTES = 1 << 20
END_LEFT = range(-4, 12)  # bits left when a text usually ends; with fewer, the bytes are not valid
FLAT = 200  # words of a group that are about as likely as its first
EARLY_END = TOTAL >> 12  # frequency of an end with more bits left
DOUBT = 0.05  # by which the estimated cost of a token in 1/16 bit may be too high
STARTING = 0.75  # share of the bytes that a text may need; the search starts there

F64 = npt.NDArray[np.float64]


def cost(frequency: int) -> int:
    """Cost of a symbol of this frequency (of 2^24) in 1/16 bit, rounded up."""
    power: int = frequency**UNITS
    return UNITS * PRECISION - power.bit_length() + 1


def flag_tables(shares: Sequence[int]) -> tuple[FrequencyTable, ...]:
    """Frequencies of "continues" and "ends" for each of END_LEFT, then for more; shares: of "ends", in 256ths."""
    if len(shares) != len(END_LEFT):
        raise ValueError("the shares of ends are for other numbers of bits")
    counts = [*(share << PRECISION - 8 for share in shares), EARLY_END]
    return tuple(FrequencyTable([TOTAL - count, count]) for count in counts)


@dataclass(frozen=True)
class WordModel:
    """The network, its vocabulary, and its styles.

    Attributes:
        lists: tokens read before a list, one for each range of its bytes; no text contains them.
        bounds: most bytes of each range but the last, in rising order.
        prose: token read before prose; no text contains it.
        choice: frequencies of a list and of prose.
        groups: frequencies of the word's index in its group, for the token of each group of rare words.
        ends: for each of END_LEFT, then for more bits left, frequencies of "continues" and "ends".
    """

    transformer: Transformer
    vocabulary: WordPieces
    line_break: int
    lists: tuple[int, ...]
    bounds: tuple[int, ...]
    prose: int
    choice: FrequencyTable
    groups: Mapping[int, FrequencyTable]
    ends: tuple[FrequencyTable, ...]

    def tokens(self, text: str) -> list[int]:
        """Tokens of a text, as far as the vocabulary has them."""
        lines = [self.vocabulary.encode(line) for line in text.split("\n")]
        return [token for line in lines for token in (self.line_break, *line)][1:]

    def flag(self, bits: int) -> FrequencyTable:
        """Frequencies of "continues" and "ends" with the given number of bits left; BitstreamError for too few."""
        if bits < END_LEFT.start:
            raise BitstreamError("the text stream is damaged")
        return self.ends[min(bits, END_LEFT.stop) - END_LEFT.start]

    def frequencies(self, logits: F64) -> npt.NDArray[np.int64]:
        """Frequencies of the next token after logits (vocabulary,)."""
        logits = logits.copy()
        logits[[*self.lists, self.prose]] = -np.inf
        return frequencies(logits)

    def first(self, style: int, size: int) -> int:
        """The token read before a text of a style (0 for a list, 1 for prose) and a number of bytes."""
        return self.prose if style else self.lists[bisect_left(self.bounds, size)]

    def logits(self, first: int, tokens: Sequence[int]) -> F64:
        """(T, vocabulary) logits of every token after the first and those before it."""
        if not tokens:
            return np.zeros((0, self.transformer.config.vocabulary))
        known = [self.vocabulary.known(token)[0] for token in tokens[:-1]]
        logits = self.transformer([first, *known], self.cache(len(tokens)))
        logits[:, [*self.lists, self.prose]] = -np.inf
        return logits

    def tables(self, logits: F64) -> list[npt.NDArray[np.int64]]:
        """Frequencies (vocabulary,) of each token after logits (T, vocabulary)."""
        return [self.frequencies(row) for row in logits]

    def cache(self, most: int) -> Cache:
        """An empty cache for a text of at most `most` tokens."""
        return self.transformer.cache(most)


def load_word_model(path: Path) -> WordModel:
    """The model of a file that `misc.models.language_model.words` wrote.

    Raises:
        WeightsError: the file is missing, damaged or no such model.
    """
    with refusing(path, "a model of words"):
        return model_of(load(path).tensors)


def model_of(arrays: dict[str, npt.NDArray[Any]]) -> WordModel:
    """The model from the arrays of such a file; other arrays raise errors of many kinds."""
    facts: dict[str, Any] = json.loads(arrays["facts"].tobytes())
    transformer = Transformer(Config(**facts["config"]), arrays)
    if len(facts["tokens"]) != transformer.config.vocabulary:
        raise ValueError("the vocabulary has another size than the network")
    vocabulary = WordPieces(facts["tokens"], facts["line_break"], unpack_words(arrays["rare"]))
    groups = {vocabulary.number(token): count for token, count in zip(RARE, vocabulary.rare_counts(), strict=True)}
    if len(facts["lists"]) != len(facts["bounds"]) + 1:
        raise ValueError("the lists have other bounds")
    shares = np.array(facts["style_shares"], np.int64) << (PRECISION - 8)
    return WordModel(
        transformer,
        vocabulary,
        facts["line_break"],
        tuple(facts["lists"]),
        tuple(facts["bounds"]),
        facts["prose"],
        FrequencyTable(shares),
        {token: FrequencyTable(place_counts(count)) for token, count in groups.items()},
        flag_tables(facts["end_shares"]),
    )


def place_counts(count: int) -> npt.NDArray[np.int64]:
    """Frequencies of `count` indices, at least 2, about in proportion to 1 / (FLAT + index)."""
    chances = (1 << 32) // (FLAT + np.arange(max(2, count), dtype=np.int64))
    counts: npt.NDArray[np.int64] = chances * (TOTAL - chances.size) // chances.sum() + 1
    counts[0] += TOTAL - counts.sum()
    return counts


class Words(ModelCoder):
    """The coder; keeps texts of a to z, 0 to 9, single spaces, usual marks, and capitals at the beginning of words."""

    lossless = False

    @functools.cached_property
    def model(self) -> WordModel:
        """The model; WeightsError if it is missing, damaged or too short."""
        model = load_word_model(self.file.sound_path())
        if self.most > model.transformer.config.positions:
            raise WeightsError(f"the language model {self.path.name} has too few positions")
        return model

    def keeps(self, text: str) -> bool:
        """Whether the model's tokens can write the text."""
        return self.model.vocabulary.decode(self.model.tokens(text)) == text

    def pack(self, text: str) -> bytes:
        """The style that needs fewer bytes, then the tokens; a text that cannot be kept is first folded to a-z and
        space.

        Raises:
            LimitError: the text has too many tokens.
        """
        with one_blas_thread:
            return self._pack(text if self.keeps(text) else fold(text))

    def _pack(self, text: str) -> bytes:
        """As `pack`, for a text that can be kept."""
        tokens = self.model.tokens(text)
        if len(tokens) > self.most:
            raise LimitError(f"the text is too long for {self.name}")
        found = [self._pack_in(style, tokens) for style in (0, 1)]
        return min(found, key=len)

    def _pack_in(self, style: int, tokens: Sequence[int]) -> bytes:
        """The fewest bytes for tokens in a style."""
        model, known = self.model, [self.model.vocabulary.known(token)[0] for token in tokens]

        @functools.cache
        def logits(first: int) -> tuple[F64, int]:
            """Logits of the tokens after a first one, and their cost in whole bytes, or a little less."""
            found = model.logits(first, tokens)
            return found, least_cost(found, known) // (8 * UNITS)

        @functools.cache
        def tables(first: int) -> list[npt.NDArray[np.int64]]:
            return model.tables(logits(first)[0])

        size = int(STARTING * logits(model.first(style, MAX_BYTES))[1])
        while True:
            first = model.first(style, size)
            data = write(model, style, tokens, tables(first), size) if size >= logits(first)[1] else None
            if data is not None:
                return data
            size += 1

    def unpack(self, data: bytes) -> str:
        """The text; BitstreamError for bytes that `pack` never writes."""
        with one_blas_thread:
            return self.model.vocabulary.decode(list(self._read(data)))

    def _read(self, data: bytes) -> Iterator[int]:
        """The tokens of a text; raises as `unpack`."""
        model, coder = self.model, RangeDecoder(data)
        style = int(coder.decode(model.choice, 1)[0])
        left = 8 * UNITS * len(data) - cost(int(model.choice.frequencies[style]))
        token, cache = model.first(style, len(data)), model.cache(self.most)
        for count in range(self.most + 1):
            table = model.flag(left // UNITS)
            end = int(coder.decode(table, 1)[0])
            if end:
                return
            if count == self.most:
                break
            left -= cost(int(table.frequencies[0]))
            row = model.frequencies(model.transformer([token], cache)[0])
            token = int(coder.decode(FrequencyTable(row), 1)[0])
            left -= cost(int(row[token]))
            if token not in model.groups:
                yield token
                continue
            table = model.groups[token]
            place = int(coder.decode(table, 1)[0])
            left -= cost(int(table.frequencies[place]))
            yield model.vocabulary.rare_token(token, place)
        raise BitstreamError("the text stream is damaged")


def least_cost(logits: F64, tokens: Sequence[int]) -> int:
    """Cost in 1/16 bit of tokens (T,) after logits (T, vocabulary), or a little less, as floats are not exact."""
    powers = np.exp((logits - logits.max(1, keepdims=True)).astype(np.float32))
    shares = powers[np.arange(len(tokens)), tokens] / powers.sum(1)
    return int(np.ceil(-UNITS * np.log2(shares + 1 / TOTAL) - DOUBT).sum())


def write(
    model: WordModel, style: int, tokens: Sequence[int], tables: Sequence[npt.NDArray[np.int64]], size: int
) -> bytes | None:
    """The text in exactly `size` bytes, or None if it does not fit.

    Args:
        style: 0 for a list, 1 for prose.
        tokens: of the text.
        tables: frequencies of each token.
        size: bytes.
    """
    coded = [(style, model.choice.frequencies)]
    left = 8 * UNITS * size - cost(int(model.choice.frequencies[style]))
    for token, following in zip(tokens, tables, strict=True):
        if left < END_LEFT.start * UNITS:
            return None
        known, place = model.vocabulary.known(token)
        symbols = [(0, model.flag(left // UNITS).frequencies), (known, following)]
        if place >= 0:
            symbols.append((place, model.groups[known].frequencies))
        left -= sum(cost(int(counts[symbol])) for symbol, counts in symbols)
        coded += symbols
    if left < END_LEFT.start * UNITS:
        return None
    coder = RangeEncoder()
    for symbol, counts in (*coded, (1, model.flag(left // UNITS).frequencies)):
        coder.encode([symbol], FrequencyTable(counts))
    data = coder.finish()
    return data.ljust(size, b"\0") if len(data) <= size else None
