"""Text stream: what is in the image, to bytes and back.

    Description ─► fields joined by line feeds ─► text coder ─► coder's number (8 bits) | coder's bytes

The fields are the overall description, then name and detail of every item in turn; they hold no line feeds, so one
symbol parts two fields. Whether a field is missing or empty is the same thing.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import BitstreamError, InputError
from .consonants import Consonants
from .registry import WEIGHTLESS, Coders, coder_of, shortest

__all__ = [
    "MAX_ITEMS",
    "MAX_LETTERS",
    "MAX_SKELETONS",
    "MAX_WORDS",
    "Description",
    "Item",
    "from_json",
    "pack",
    "to_json",
    "unpack",
]

MAX_ITEMS = 16
MAX_WORDS = 64
MAX_SKELETONS = 256  # words of a text of skeletons, which has one part alone
MAX_LETTERS = 800  # characters of a part; words alone bound nothing, and coders take time with each
# Characters that turn the direction of text, so that it reads as another:
TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@dataclass(frozen=True)
class Item:
    """A thing in the image: its name and what it looks like."""

    name: str
    detail: str = ""


@dataclass(frozen=True)
class Description:
    """Items and the description of the whole: at most 16 items, at most 800 characters and 64 words a part.

    A text of skeletons has up to 256 words. A part holds no line feed. The limits are checked in the order of their
    cost.

    Attributes:
        consonants: whether it holds skeletons of words, as the coder `consonants` keeps them, and no words; they are
            turned into words before anything is drawn.
    """

    overall: str = ""
    items: tuple[Item, ...] = ()
    consonants: bool = False

    def __post_init__(self) -> None:
        if len(self.items) > MAX_ITEMS:
            raise InputError(f"a description has at most {MAX_ITEMS} items, not {len(self.items)}")
        most = MAX_SKELETONS if self.consonants else MAX_WORDS
        for part in self.fields():
            if len(part) > MAX_LETTERS:
                raise InputError(f"a part of a description has at most {MAX_LETTERS} characters, not {len(part)}")
            if len(part.split()) > most:
                raise InputError(f"a part of a description has at most {most} words, not {len(part.split())}")
            if "\n" in part:
                raise InputError("a part of a description must be one line")
        if any(not item.name for item in self.items):
            raise InputError("an item of a description needs a name")

    def fields(self) -> list[str]:
        """Overall description, name and detail of every item."""
        return [self.overall, *(part for item in self.items for part in (item.name, item.detail))]

    def symbols(self) -> bytes:
        """Canonical bytes of the content, for checksums."""
        return "\n".join(self.fields()).encode()


def pack(description: Description, coders: Coders = WEIGHTLESS, name: str = "") -> bytes:
    """Bytes by the coder of this name, or by whichever needs the fewest; `consonants` codes skeletons and no words."""
    usable = {
        number: coder
        for number, coder in coders.items()
        if isinstance(coder, Consonants) == description.consonants and name in ("", coder.name)
    }
    return shortest("\n".join(description.fields()).removesuffix("\n"), usable)


def unpack(data: bytes, coders: Coders = WEIGHTLESS) -> Description:
    """The description.

    Raises:
        BitstreamError: the bytes are not a description.
        ModelMismatchError: its coder is not here.
        WeightsError: its coder's weights are not here.
    """
    if not data:
        raise BitstreamError("the text stream is empty")
    coder = coder_of(data[0], coders)
    overall, *parts = coder.unpack(data[1:]).split("\n")
    parts += [""] * (len(parts) % 2)
    try:
        return Description(overall, tuple(map(Item, parts[::2], parts[1::2])), isinstance(coder, Consonants))
    except InputError as error:
        raise BitstreamError(f"the text stream is damaged: {error}") from error


def from_json(value: Any) -> Description:
    """From {"overall": TEXT, "items": [{"name": TEXT, "detail": TEXT}, ...]}, white space normalised.

    Raises:
        InputError: another shape, beyond the limits, or control characters in a text.
    """
    if not isinstance(value, Mapping) or not set(value) <= {"overall", "items"}:
        raise InputError('a description is an object with "overall" and "items"')
    items = value.get("items", [])
    if not isinstance(items, list) or not all(
        isinstance(item, Mapping) and set(item) <= {"name", "detail"} for item in items
    ):
        raise InputError('"items" is a list of objects with "name" and "detail"')
    return Description(
        line(value.get("overall", "")),
        tuple(Item(line(item.get("name", "")), line(item.get("detail", ""))) for item in items),
    )


def line(text: Any) -> str:
    """One line with single spaces."""
    if not isinstance(text, str):
        raise InputError("the parts of a description are texts")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError("the description holds a character that is not Unicode text") from error
    for character in text:
        if character in TURNING or (unicodedata.category(character) == "Cc" and not character.isspace()):
            raise InputError(f"the description holds a control character, U+{ord(character):04X}")
    return " ".join(text.split())


def to_json(description: Description) -> dict[str, Any]:
    """Inverse of from_json."""
    items = [{"name": item.name, "detail": item.detail} for item in description.items]
    return {"overall": description.overall, "items": items}
