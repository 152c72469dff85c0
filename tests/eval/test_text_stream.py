"""The table of text coders: each is measured over the texts that it carries."""

from typing import Any

import pytest

from misc.bits.text import WEIGHTLESS
from misc.errors import LimitError
from misc.eval.text_stream import coder_cost, markdown_of, shortest_cost


class Short:
    """A byte a letter, for texts of four letters at most."""

    name = "short"
    lossless = True
    available = True
    digest = b""

    def keeps(self, text: str) -> bool:
        return True

    def pack(self, text: str) -> bytes:
        if len(text) > 4:
            raise LimitError("too long")
        return text.encode()

    def unpack(self, data: bytes) -> str:
        return data.decode()


class Forgetful(Short):
    """Loses the last letter."""

    def unpack(self, data: bytes) -> str:
        return data.decode()[:-1]


def test_a_coder_is_measured_over_the_texts_that_it_carries() -> None:
    cost = coder_cost(Short(), ["a cat", "dog", "an owl", "bird"])
    assert cost is not None
    assert (cost.texts, cost.characters, cost.bits) == (2, 7, 56)
    assert cost.row()["bits_per_character"] == 8
    assert coder_cost(Short(), ["a cat", "an owl"]) is None


def test_a_coder_that_loses_a_letter_is_found_out() -> None:
    with pytest.raises(AssertionError, match="short lost 'dog'"):
        coder_cost(Forgetful(), ["dog"])
    with pytest.raises(AssertionError, match="the coder 9 lost 'dog'"):
        shortest_cost({9: Forgetful()}, ["dog"])


def test_files_take_the_shortest_of_each_text() -> None:
    deflate = WEIGHTLESS[1]
    texts = ["a cat and a cat", "dog"]
    cost = shortest_cost({1: deflate, 9: Short()}, texts)
    assert cost.bits == 8 * (len(deflate.pack(texts[0])) + min(3, len(deflate.pack("dog"))))
    assert (cost.texts, cost.characters) == (2, 18)


def test_the_table_has_no_figure_where_a_coder_carries_nothing() -> None:
    def row(texts: int, character: float, text: float) -> dict[str, Any]:
        return {"texts": texts, "bits_per_character": character, "bits_per_text": text}

    result = {
        "descriptions": {"coders": {"raw": row(36, 8, 4000)}},
        "captions": {"coders": {"raw": row(36, 8, 418.2), "short": row(2, 1.5, 71.84)}},
    }
    assert markdown_of(result).splitlines()[2:] == [
        "| raw | 36 | 8.000 | 36 | 418.2 |",
        "| short | - | - | 2 | 71.8 |",
    ]
