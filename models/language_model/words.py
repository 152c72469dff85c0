"""Convert the model of the coder `words` from floats to the integers that `misc.bits.text.words` runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...bits.text.word_pieces import CAPITAL, LETTERS, MARKS, MORE, RARE, pack_words
from .integers import from_floats, write
from .llama import Llama

__all__ = ["BOUNDS", "LINE", "LISTS", "PROSE", "SPECIAL", "write_words"]

LINE, PROSE = "<line>", "<prose>"
BOUNDS = (5, 8, 12, 18, 27, 40, 60, 90, 130)  # most bytes of a list for each list token but the last
LISTS = tuple(f"<list {size}>" for size in range(len(BOUNDS) + 1))
SPECIAL = (LINE, PROSE, *LISTS, *RARE, CAPITAL, *MARKS, *LETTERS, *(MORE + letter for letter in LETTERS))
STYLE_SHARES = (224, 32)  # of 256: lists, prose


def write_words(
    model: Llama, tokens: Sequence[str], rare: Sequence[str], end_shares: Sequence[int], target: Path
) -> None:
    """Write the exact model as one complete file or not at all.

    Args:
        model: the network.
        tokens: its vocabulary, which begins with SPECIAL.
        rare: words by group, more frequent words first.
        end_shares: probability in 256ths that a text ends, for each number of bits left in
            `misc.bits.text.words.END_LEFT`.
        target: file.
    """
    config, arrays = from_floats(model)
    facts = {
        "config": vars(config),
        "tokens": list(tokens),
        "line_break": tokens.index(LINE),
        "lists": [tokens.index(each) for each in LISTS],
        "bounds": BOUNDS,
        "prose": tokens.index(PROSE),
        "style_shares": STYLE_SHARES,
        "end_shares": list(end_shares),
    }
    arrays["rare"] = pack_words(rare)
    arrays["facts"] = np.frombuffer(json.dumps(facts, sort_keys=True).encode(), np.uint8)
    write(arrays, target)
