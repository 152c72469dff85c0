"""Pillow plugin: after `import misc.pillow`, `Image.open("x.misc")` and `image.save("x.misc", bpp=0.024)` work.

Opening a file reads only the container, and Pillow compares the size with `Image.MAX_IMAGE_PIXELS`. The image is drawn
when its pixels are first used. Errors have Pillow's usual types: OSError for a file, TypeError and ValueError for
options. The codec's own error is their cause.
"""

from __future__ import annotations

import functools
import inspect
import io
from typing import IO, TYPE_CHECKING, Any

from PIL import Image, ImageFile

from .bits import container
from .bits.container import MAX_SIDE
from .errors import InputError, MiscError

if TYPE_CHECKING:
    from .codec import Codec

__all__ = ["MiscImageFile"]

ALL_PIXELS = MAX_SIDE * MAX_SIDE  # Pillow's own limit applies instead


@functools.cache
def codec() -> Codec:
    """The embedded profile's codec, without a pixel limit of its own."""
    from .codec import Codec

    return Codec(max_pixels=ALL_PIXELS)


def accept(prefix: bytes) -> bool:
    """Whether a file begins like a `.misc` file of a version that is read here."""
    return len(prefix) > 1 and prefix[0] == container.MAGIC and prefix[1] >> 4 == 0


class MiscImageFile(ImageFile.ImageFile):
    """A `.misc` file as Pillow's image."""

    format = "MISC"
    format_description = "MISC ultra-low-bitrate image"

    def _open(self) -> None:
        assert self.fp is not None
        self._data: bytes | None = self.fp.read(container.MAX_BYTES + 1)
        try:
            header, sections = container.read(self._data, max_pixels=ALL_PIXELS)
        except MiscError as error:
            raise SyntaxError(str(error)) from error  # means "not this format" to Pillow
        self._size = (header.width, header.height)
        self._mode = "RGB"
        self.info["sections"] = list(sections)

    def verify(self) -> None:
        """Decode every stream, without drawing, and compare the checks.

        Raises:
            OSError: a stream is damaged, or was written with other models.
        """
        if self._data is None:
            raise RuntimeError("verify must be called directly after open")
        from .bits import streams
        from .profiles import load_profile

        profile = load_profile()
        try:
            streams.decode(self._data, profile.exact_models, max_pixels=ALL_PIXELS)
        except MiscError as error:
            raise OSError(str(error)) from error
        super().verify()

    def load(self) -> Any:
        """Draw the image.

        Raises:
            OSError: the file is damaged, or models that it needs are missing.
        """
        if self._data is not None:
            try:
                pixels = codec().decode(self._data).tobytes()
            except MiscError as error:
                raise OSError(str(error)) from error
            self._data = None
            if (
                self._exclusive_fp and self.fp is not None
            ):  # Pillow closes what it opened, and then sees only the pixels
                self.fp.close()
            self.fp = io.BytesIO(pixels)
            self.tile = [ImageFile._Tile("raw", (0, 0, *self.size), 0, self.mode)]
        return super().load()


def save(image: Image.Image, target: IO[bytes], filename: str | bytes) -> None:
    """Encode; Pillow's save options are the keywords of `Codec.encode`, such as bpp and mode.

    Raises:
        TypeError: there is no such option.
        ValueError: options contradict each other.
        OSError: no file is small enough, or the image is too large.
    """
    given: dict[str, Any] = getattr(image, "encoderinfo", {})
    known = [name for name in inspect.signature(codec().encode).parameters if name != "image"]
    unknown = [name for name in given if name not in known]
    if unknown:
        raise TypeError(f"a .misc file is saved with {', '.join(known)}, not {', '.join(unknown)}")
    try:
        target.write(codec().encode(image, **given))
    except InputError as error:
        raise ValueError(str(error)) from error
    except MiscError as error:
        raise OSError(str(error)) from error


Image.register_open(MiscImageFile.format, MiscImageFile, accept)
Image.register_save(MiscImageFile.format, save)
Image.register_extension(MiscImageFile.format, ".misc")
Image.register_mime(MiscImageFile.format, "image/x-misc")
