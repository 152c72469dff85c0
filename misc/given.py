"""Checks of a program's arguments to the codec: a value of a wrong type is refused with one sentence.

Commands check their options themselves. These checks are for scripts, which may pass an array, a path or a dictionary
in place of an object.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import SupportsIndex

from .bits.regions.maps import RegionMaps
from .bits.streams import Streams
from .bits.text.description import Description
from .decoder_profile import SamplingChanges
from .errors import InputError, UsageError

__all__ = ["check_contents", "check_data", "check_maps", "check_sampling", "check_text", "natural", "whole"]


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


def check_contents(contents: Sequence[Streams]) -> Sequence[Streams]:
    """The streams of files.

    Raises:
        InputError: they are something else, such as bytes.
    """
    if not isinstance(contents, Sequence) or isinstance(contents, bytes):
        raise InputError(f"a list of Streams is wanted, not {type(contents).__name__}")
    for each in contents:
        if not isinstance(each, Streams):
            raise InputError(f"Streams are wanted, as Codec.streams(data) gives them, not {type(each).__name__}")
    return contents


def check_sampling(changes: SamplingChanges | None) -> SamplingChanges | None:
    """The changes of a sampling.

    Raises:
        UsageError: they are something else, such as a dictionary.
    """
    if changes is None or isinstance(changes, SamplingChanges):
        return changes
    raise UsageError(f"changes of the sampling are misc.SamplingChanges, not {type(changes).__name__}")


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


def natural(name: str, value: SupportsIndex, least: int = 0) -> int:
    """As `whole`, for a value that must be given and is `least` or more."""
    number = whole(name, value)
    if number is None or number < least:
        raise UsageError(f"the {name} is a whole number from {least} up, not {value!r}")
    return number


def whole(name: str, value: SupportsIndex | None) -> int | None:
    """A Python integer, also from numpy's integers.

    Raises:
        UsageError: it is not an integer.
    """
    try:
        return None if value is None else operator.index(value)
    except TypeError:
        raise UsageError(f"the {name} is a whole number, not {value!r}") from None
