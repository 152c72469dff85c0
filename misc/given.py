"""Checks of a program's arguments to the codec: a value of a wrong type is refused with one sentence.

Commands check their options themselves. These checks are for scripts, which may pass an array, a path or a dictionary
in place of an object.
"""

from __future__ import annotations

import operator
from typing import SupportsIndex

from .bits.regions.maps import RegionMaps
from .bits.text.description import Description
from .errors import InputError, UsageError

__all__ = ["check_data", "check_maps", "check_text", "whole"]


def check_data(data: bytes) -> bytes:
    """The bytes of a file.

    Raises:
        InputError: it is something else, such as a path.
    """
    if not isinstance(data, bytes | bytearray | memoryview):
        raise InputError(
            f"the bytes of a file are wanted, not {type(data).__name__}: give pathlib.Path(name).read_bytes()"
        )
    return bytes(data)


def check_text(text: Description | None) -> Description | None:
    """The description.

    Raises:
        InputError: it is something else, such as a string or a dictionary.
    """
    if text is None or isinstance(text, Description):
        return text
    raise InputError(
        f"a description is a Description of misc.bits.text.description, not {type(text).__name__}: "
        "give Description(overall, items), or from_json(value) of a dictionary"
    )


def check_maps(maps: RegionMaps | None) -> RegionMaps | None:
    """The region maps.

    Raises:
        InputError: they are something else, such as an array.
    """
    if maps is None or isinstance(maps, RegionMaps):
        return maps
    raise InputError(
        f"regions are RegionMaps of misc.bits.regions.maps, not {type(maps).__name__}: "
        "give RegionMaps(masks), or misc.maps.from_masks(masks, width, height) of masks in pixels"
    )


def whole(name: str, value: SupportsIndex | None) -> int | None:
    """A Python integer, also from numpy's integers.

    Raises:
        UsageError: it is not an integer.
    """
    try:
        return None if value is None else operator.index(value)
    except TypeError:
        raise UsageError(f"the {name} is a whole number, not {value!r}") from None
