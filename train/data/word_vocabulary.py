"""The vocabulary of the coder `words`: frequent words, rare words, and word pieces that spell the others.

texts by source ─► counts of words, by source's weight ─┬─► most frequent ones ─► tokens
                                                        ├─► those that follow ─► rare words, by group
                                                        └─► all but the first ─► byte-pair merges ─► pieces
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from ...bits.text.lzw import fold
from ...bits.text.word_pieces import LETTERS, MORE, group_of
from ...errors import InputError

__all__ = ["choose_words", "count_words"]

MOST = 20  # largest count of one word in the merges
INSIDE, UNKNOWN = "##", "?"


def count_words(texts: Iterable[Sequence[str]], weights: Sequence[float]) -> Counter[str]:
    """Counts of words of a to z, weighted by source."""
    counts: Counter[str] = Counter()
    for some, weight in zip(texts, weights, strict=True):
        for text in some:
            for word in fold(text).split():
                counts[word] += weight  # type: ignore[assignment]  # a weighted count
    return counts


def choose_words(
    texts: Iterable[Sequence[str]], weights: Sequence[float], special: Sequence[str], size: int, pieces: int, rare: int
) -> tuple[list[str], list[str]]:
    """The tokens (special ones, then words, then pieces) and the rare words, by group, more frequent ones first.

    Args:
        texts: by source.
        weights: of a word of each source.
        special: tokens that come first; they include each of LETTERS, alone and after MORE.
        size: number of tokens.
        pieces: number of tokens that are word pieces.
        rare: largest number of rare words.

    Raises:
        InputError: there are too few texts for this number of tokens.
    """
    counts = count_words(texts, weights)
    words = [word for word, _ in counts.most_common() if len(word) > 1][: size - pieces - len(special)]
    known = {*special, *words}
    others = {word: max(1, round(2 * count)) for word, count in counts.items() if word not in known}
    found = [each for each in join_letters(others, 2 * pieces + 2 * len(LETTERS)) if each not in known]
    tokens = [*special, *words, *found][:size]
    if len(tokens) != size:
        raise InputError(f"the texts give {len(tokens)} tokens, not {size}")
    usual = set(tokens)
    left = [word for word, _ in counts.most_common() if len(word) > 2 and word not in usual][:rare]
    return tokens, sorted(left, key=group_of)


def join_letters(words: dict[str, int], size: int) -> list[str]:
    """Word pieces by byte-pair merges, sorted by count, single letters first."""
    tokenizer = Tokenizer(models.WordPiece(unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.WordPieceTrainer(
        vocab_size=size, continuing_subword_prefix=INSIDE, show_progress=False, special_tokens=[UNKNOWN]
    )
    lines = (" ".join([word] * min(count, MOST)) for word, count in sorted(words.items()))
    tokenizer.train_from_iterator(lines, trainer)
    ordered = sorted(tokenizer.get_vocab(), key=tokenizer.token_to_id)
    return [re.sub(f"^{INSIDE}", MORE, token) for token in ordered if token != UNKNOWN]
