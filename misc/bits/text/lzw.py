"""Text coder 2: LZW over 26 letters and space, after DLSVC (2022).

    text ─► folded to a-z and space ─► LZW phrases ─► range coder ─► bytes

A phrase is coded with a probability in proportion to its weight. The weight of a letter is its frequency in English
(per mille, 220 for a space), of a learned phrase 10, of the end 10. Other text is folded: accents and case are dropped,
all other characters become spaces.
"""

from __future__ import annotations

import string
import unicodedata

from ...errors import BitstreamError, LimitError
from ..arithmetic.range_coder import TOTAL, FrequencyTable, RangeDecoder, RangeEncoder

__all__ = ["ALPHABET", "Lzw", "fold"]

ALPHABET = string.ascii_lowercase + " "
PER_MILLE = "82 15 28 43 127 22 20 61 70 2 8 40 24 67 75 19 1 60 63 91 28 10 24 2 20 1 220"
LETTER_WEIGHTS = [int(weight) for weight in PER_MILLE.split()]
PHRASE_WEIGHT = END_WEIGHT = 10
MAX_LENGTH = 4096


def fold(text: str) -> str:
    """The text in the 27 characters: without accents and case, one space for anything else."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return " ".join("".join(c if c in string.ascii_lowercase else " " for c in plain).split())


class Phrases:
    """The dictionary that encoder and decoder grow alike; phrase 0 is the end."""

    def __init__(self) -> None:
        self.texts = ["", *ALPHABET]
        self.numbers = {text: i for i, text in enumerate(self.texts)}
        self.weights = [END_WEIGHT, *LETTER_WEIGHTS]

    def table(self) -> FrequencyTable:
        """Frequencies in proportion to the weights."""
        total = sum(self.weights)
        counts = [weight * TOTAL // total for weight in self.weights]
        counts[0] += TOTAL - sum(counts)
        return FrequencyTable(counts)

    def learn(self, text: str) -> None:
        self.numbers[text] = len(self.texts)
        self.texts.append(text)
        self.weights.append(PHRASE_WEIGHT)


class Lzw:
    """LZW; loses case, digits, punctuation and accents."""

    name = "lzw"
    lossless = False
    available = True
    digest = b""

    def keeps(self, text: str) -> bool:
        """Whether the text has nothing but the coder's own characters."""
        return fold(text) == text

    def pack(self, text: str) -> bytes:
        """Numbers of phrases, range coded; LimitError for a text that is too long."""
        folded = fold(text)
        if len(folded) > MAX_LENGTH:
            raise LimitError(f"the text is longer than {MAX_LENGTH} characters")
        phrases, coder = Phrases(), RangeEncoder()
        current = ""
        for character in folded:
            if current + character in phrases.numbers:
                current += character
                continue
            coder.encode([phrases.numbers[current]], phrases.table())
            phrases.learn(current + character)
            current = character
        if current:
            coder.encode([phrases.numbers[current]], phrases.table())
            phrases.learn(current + "\n")  # only its weight matters: the decoder never uses this phrase
        coder.encode([0], phrases.table())
        return coder.finish()

    def unpack(self, data: bytes) -> str:
        """The text; BitstreamError for bytes that `pack` never writes."""
        phrases, coder = Phrases(), RangeDecoder(data)
        text = previous = ""
        while True:
            if previous:
                phrases.learn(previous + "\n")
            number = int(coder.decode(phrases.table(), 1)[0])
            if number == 0:
                return text
            if previous:
                self._settle(phrases, previous, number)
            previous = phrases.texts[number]
            text += previous
            if len(text) > MAX_LENGTH:
                raise BitstreamError("the text stream is damaged")

    @staticmethod
    def _settle(phrases: Phrases, previous: str, number: int) -> None:
        """Complete the last phrase, which ends with the first character of the phrase that follows it."""
        last = len(phrases.texts) - 1
        following = previous if number == last else phrases.texts[number]
        del phrases.numbers[phrases.texts[last]]
        phrases.texts[last] = previous + following[0]
        phrases.numbers[phrases.texts[last]] = last
