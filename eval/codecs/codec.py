"""The interface of codecs in the evaluation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from PIL import Image

__all__ = ["Codec", "Setting", "WithStreams"]


@runtime_checkable
class Codec(Protocol):
    """A codec. A class of this form, in the entry-point group `misc.codecs`, is a codec of `misc eval run`.

    Each process creates one object, without arguments. Encoder and decoder never run in the same process.
    """

    def encode(self, image: Image.Image, bpp: float) -> bytes:
        """The best file of an RGB image with at most `bpp` bits per pixel.

        Raises:
            BudgetError: no file is small enough.
        """
        ...

    def decode(self, data: bytes) -> Image.Image:
        """The image decoded from the file alone, RGB and of the original's size."""
        ...


@runtime_checkable
class WithStreams(Protocol):
    """A codec whose files have parts that the report shows separately."""

    def streams(self, data: bytes) -> dict[str, int]:
        """Bytes of each part of a file; their sum is the file's size."""
        ...

    def content(self, data: bytes) -> dict[str, Any]:
        """Content for the report to show: `text`, and `items`, each with `name` and `rows` of 0 and 1."""
        ...


@dataclass(frozen=True)
class Setting:
    """How to open a codec in another process, as plain values for JSON.

    Attributes:
        name: as in results, such as `avif/2`.
        kind: `misc`, `classical`, `upsampled`, `neural`, `command` or `class`.
        one_rate: whether it has only one file per image, independent of the rate.
        options: depend on the kind.
    """

    name: str
    kind: str
    one_rate: bool = False
    options: dict[str, Any] = field(default_factory=dict)
