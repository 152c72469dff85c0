"""Pillow plugin: after `import misc.pillow`, `Image.open("x.misc")` and `image.save("x.misc", bpp=0.024)` work.

Opening reads the container alone; the picture is drawn when its pixels are first asked for.
"""

from __future__ import annotations

import io
from typing import IO, Any

from PIL import Image, ImageFile

from .bits import container
from .errors import MiscError

__all__ = ["MiscImageFile"]

OPTIONS = ("mode", "bpp", "max_bytes", "quality", "description", "regions", "seed")


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
            header, sections = container.read(self._data)
        except MiscError as error:
            raise SyntaxError(str(error)) from error  # what Pillow takes for "not this format"
        self._size = (header.width, header.height)
        self._mode = "RGB"
        self.info["sections"] = list(sections)

    def load(self) -> Any:
        """Draw the picture; raises the codec's errors."""
        if self._data is not None:
            from .codec import decode

            pixels = decode(self._data).tobytes()
            self._data = None
            self.fp = io.BytesIO(pixels)
            self.tile = [ImageFile._Tile("raw", (0, 0, *self.size), 0, self.mode)]
        return super().load()


def save(image: Image.Image, target: IO[bytes], filename: str | bytes) -> None:
    """Encode with those of Pillow's save options that `misc.encode` knows."""
    from .codec import encode

    given: dict[str, Any] = getattr(image, "encoderinfo", {})
    target.write(encode(image, **{name: given[name] for name in OPTIONS if name in given}))


Image.register_open(MiscImageFile.format, MiscImageFile, accept)
Image.register_save(MiscImageFile.format, save)
Image.register_extension(MiscImageFile.format, ".misc")
