"""What a codec is to the evaluation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from PIL import Image

__all__ = ["Codec", "Setting", "WithStreams"]


@runtime_checkable
class Codec(Protocol):
    """A codec. A class of this form, in the entry-point group `misc.codecs`, is a codec of `misc eval run`.

    It is made once in a process, without arguments. Encoder and decoder are never the same process.
    """

    def encode(self, image: Image.Image, bpp: float) -> bytes:
        """The best file of an RGB image that has at most `bpp` bits per pixel.

        Raises:
            BudgetError: no file is as small.
        """
        ...

    def decode(self, data: bytes) -> Image.Image:
        """The image of a file, RGB and of the original's size, from the file alone."""
        ...


@runtime_checkable
class WithStreams(Protocol):
    """A codec whose files have parts that the report tells apart."""

    def streams(self, data: bytes) -> dict[str, int]:
        """Bytes of each part of a file; they sum up to the whole."""
        ...

    def content(self, data: bytes) -> dict[str, Any]:
        """What the report shows over the image: `text`, and `items`, each with `name` and `rows` of 0 and 1."""
        ...


@dataclass(frozen=True)
class Setting:
    """How to open a codec in another process: plain values, so that they pass as JSON.

    Attributes:
        name: as in results, such as `avif/2`.
        kind: `misc`, `classical`, `upsampled`, `neural`, `command` or `class`.
        one_rate: it has one file an image, whatever the rate.
        options: of the kind.
    """

    name: str
    kind: str
    one_rate: bool = False
    options: dict[str, Any] = field(default_factory=dict)
