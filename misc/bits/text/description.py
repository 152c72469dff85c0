"""Text stream: what is in the image, to bytes and back.

    Description ─► fields joined by line feeds ─► text coder ─► coder's number (8 bits) | coder's bytes

The fields are the overall description, then name and detail of every item in turn. They contain no line feeds, so a
line feed separates them. A missing field and an empty field are the same.
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
MAX_SKELETONS = 256  # words of a text of skeletons, which has only one part
MAX_LETTERS = 800  # characters of a part; a limit on words alone does not bound the coders' time
# Characters that change the direction of text and so disguise it:
TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@dataclass(frozen=True)
class Item:
    """One named object in the image: its name and how it looks."""

    name: str
    detail: str = ""


@dataclass(frozen=True)
class Description:
    """Items and the description of the whole: at most 16 items, at most 800 characters and 64 words a part.

    A text of skeletons has up to 256 words. A part contains no line feed. The cheapest limits are checked first.

    Attributes:
        consonants: whether it holds skeletons (words without vowels, as the coder `consonants` keeps them). They are
            expanded into words before the image is drawn.
    """

    overall: str = ""
    items: tuple[Item, ...] = ()
    consonants: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "items", tuple(self.items))  # a list would equal no decoded text
        for item in self.items:
            if not isinstance(item, Item):
                raise InputError(f"an item of a description is an Item, not {type(item).__name__}")
        if len(self.items) > MAX_ITEMS:
            raise InputError(f"a description has at most {MAX_ITEMS} items, not {len(self.items)}")
        most = MAX_SKELETONS if self.consonants else MAX_WORDS
        for part in self.fields():
            if not isinstance(part, str):
                raise InputError(f"a part of a description is a string, not {type(part).__name__}")
            if len(part) > MAX_LETTERS:
                raise InputError(f"a part of a description has at most {MAX_LETTERS} characters, not {len(part)}")
            if len(part.split()) > most:
                raise InputError(f"a part of a description has at most {most} words, not {len(part.split())}")
            if "\n" in part:
                raise InputError("a part of a description must be one line")
            if any("\ud800" <= letter <= "\udfff" for letter in part):
                raise InputError("a part of a description has half of a surrogate pair, which is no character")
        if any(not item.name for item in self.items):
            raise InputError("an item of a description needs a name")

    def fields(self) -> list[str]:
        """Overall description, name and detail of every item."""
        return [self.overall, *(part for item in self.items for part in (item.name, item.detail))]

    def whole(self) -> str:
        """The overall description; without one, the names of the items."""
        return self.overall or ", ".join(item.name for item in self.items)

    def symbols(self) -> bytes:
        """Canonical bytes of the content, for checksums."""
        return "\n".join(self.fields()).encode()


def pack(description: Description, coders: Coders = WEIGHTLESS, name: str = "") -> bytes:
    """Bytes by the named coder, or by the one that needs the fewest; `consonants` codes only skeletons."""
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
        ModelMismatchError: the profile does not have its coder.
        WeightsError: its coder's weights are missing.
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
