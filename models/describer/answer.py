"""Ask a multimodal model for a description: the request, a strict check of the answer, one second request.

    images ───► shrink ─► request ─► model ─► parse ──────────────────────────────► Descriptions
                             ▲                  │ not a description, or beyond a limit
                             └── second request ┘ once, with the complaint

The answer must be the JSON object that `misc.bits.text.description.from_json` reads, with all its keys and no others,
alone or in one code fence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from PIL import Image

from ...bits.text.description import MAX_ITEMS, Description, from_json
from ...errors import DescriberError, InputError

__all__ = ["Ask", "describe_all", "parse", "request", "schema", "shrink"]

NAME_WORDS, DETAIL_WORDS, OVERALL_WORDS = 3, 10, 50  # limits of the MISC paper
MAX_LETTERS = 40  # of a word: text without spaces would pass the limits on words
MAX_ANSWER = 16_384  # characters; 16 items within the limits have some 2000
LONGEST_SIDE = 1024  # pixels; a larger image costs more and hardly changes 50 words

Ask = Callable[[Sequence[Image.Image], Sequence[str], int], list[str]]
"""RGB images, a request for each, and the most tokens of an answer, to answers in the same order."""


def describe_all(ask: Ask, images: Sequence[Image.Image], items: int = 3) -> list[Description]:
    """Descriptions of images; if an answer is refused, the model is asked once more.

    Args:
        ask: the model.
        images: RGB, of any size.
        items: largest number of items of each description, 1 to 16.

    Raises:
        InputError: this number of items is not possible.
        DescriberError: the second answer was refused as well.
    """
    if not 1 <= items <= MAX_ITEMS:
        raise InputError(f"a description has between 1 and {MAX_ITEMS} items, not {items}")
    small = [shrink(image) for image in images]
    descriptions: dict[int, Description] = {}
    complaints: dict[int, str] = {}
    for _ in range(2):
        asked = [number for number in range(len(small)) if number not in descriptions]
        requests = [request(items, complaints.get(number)) for number in asked]
        answers = ask([small[number] for number in asked], requests, most_tokens(items)) if asked else []
        for number, answer in zip(asked, answers, strict=True):
            try:
                descriptions[number] = parse(answer, items)
            except DescriberError as error:
                complaints[number] = str(error)
    for number in range(len(small)):
        if number not in descriptions:
            which = f" for image {number + 1} of {len(small)}" if len(small) > 1 else ""
            raise DescriberError(f"the describer gave no usable answer{which}, asked twice: {complaints[number]}")
    return [descriptions[number] for number in range(len(small))]


def shrink(image: Image.Image) -> Image.Image:
    """The RGB image, reduced so that its longer side has at most 1024 pixels."""
    rgb = image.convert("RGB")
    scale = LONGEST_SIDE / max(rgb.size)
    if scale >= 1:
        return rgb
    width, height = (max(1, round(scale * side)) for side in rgb.size)
    return rgb.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)


def request(items: int = 3, complaint: str | None = None) -> str:
    """The text of a request.

    Args:
        complaint: why the last answer was refused.
    """
    things = "the most important item" if items == 1 else f"the {items} most important different items"
    text = (
        f"Look at this picture. Name {things} in it, each in at most {NAME_WORDS} words. "
        f"Describe what each item looks like here in at most {DETAIL_WORDS} words. "
        f"Describe the whole picture in at most {OVERALL_WORDS} words. "
        "Answer in English with one JSON object of exactly this shape:\n"
        '{"overall": "the whole picture", "items": [{"name": "an item", "detail": "what it looks like"}]}'
    )
    if complaint is None:
        return text
    return (
        f"{text}\nYour last answer was refused: {complaint}. Count the words and keep every limit. "
        "Give the JSON object alone, from { to }, without any other text."
    )


def schema(items: int) -> dict[str, Any]:
    """JSON schema of an answer with at most `items` items, for servers that enforce a schema."""
    text = {"type": "string"}
    thing = {
        "type": "object",
        "properties": {"name": text, "detail": text},
        "required": ["name", "detail"],
        "additionalProperties": False,
    }
    things = {"type": "array", "items": thing, "minItems": 1, "maxItems": items}
    return {
        "type": "object",
        "properties": {"overall": text, "items": things},
        "required": ["overall", "items"],
        "additionalProperties": False,
    }


def most_tokens(items: int) -> int:
    """Number of tokens for the longest valid answer: some two tokens per word, and the punctuation of JSON."""
    return 2 * OVERALL_WORDS + 28 + items * (2 * (NAME_WORDS + DETAIL_WORDS) + 22)


def parse(answer: str, items: int = 3) -> Description:
    """The description in a model's answer.

    Raises:
        DescriberError: it is not a description or exceeds a limit; the message has no subject, so that one can be put
            before it.
    """
    if len(answer) > MAX_ANSWER:
        raise DescriberError(f"it has {len(answer)} characters, which is far too long")
    try:
        value = json.loads(strip_fence(answer), object_pairs_hook=without_doubles, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise DescriberError("it is not one JSON object and nothing else") from error
    if not isinstance(value, dict) or set(value) != {"overall", "items"}:
        raise DescriberError('it is not an object with "overall" and "items" and nothing else')
    things = value["items"]
    if not isinstance(things, list) or any(
        not isinstance(thing, dict) or set(thing) != {"name", "detail"} for thing in things
    ):
        raise DescriberError('"items" is not a list of objects with "name" and "detail" and nothing else')
    if not 1 <= len(things) <= items:
        raise DescriberError(f"it has {len(things)} items instead of {items}")
    try:
        description = from_json(value)
    except InputError as error:
        raise DescriberError(str(error)) from error
    check(description)
    return description


def check(description: Description) -> None:
    """Refuse a description that exceeds the limits, is empty, names an item twice, or cannot be printed."""
    parts = [("overall", description.overall, OVERALL_WORDS)]
    for number, item in enumerate(description.items, 1):
        parts += [
            (f"the name of item {number}", item.name, NAME_WORDS),
            (f"the detail of item {number}", item.detail, DETAIL_WORDS),
        ]
    for part, text, most in parts:
        words = text.split()
        if not words:
            raise DescriberError(f"{part} is empty")
        if len(words) > most:
            raise DescriberError(f"{part} has {len(words)} words, but at most {most} are allowed")
        if max(map(len, words)) > MAX_LETTERS:
            raise DescriberError(f"{part} has a word of more than {MAX_LETTERS} letters")
        if not text.isprintable():
            raise DescriberError(f"{part} has characters that cannot be printed")
    names = {item.name.casefold() for item in description.items}
    if len(names) < len(description.items):
        raise DescriberError("two items have the same name")


def strip_fence(answer: str) -> str:
    """The answer without the one code fence around it, if there is one."""
    text = answer.strip()
    if len(text) < 6 or not (text.startswith("```") and text.endswith("```")):
        return text
    return re.sub(r"\A[A-Za-z]*", "", text[3:-3])  # drop the fence's label, such as "json"


def without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; refused if a key occurs twice."""
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a key is there twice")
    return value


def refuse(constant: str) -> NoReturn:
    """Refuse NaN and Infinity, which Python reads but JSON does not allow."""
    raise ValueError(constant)
