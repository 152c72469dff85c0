"""JPEG, WebP, AVIF, JPEG XL, HEIC and JPEG 2000 with Pillow, at full, half and quarter size, within a budget.

    image ─► Lanczos to 1/d ─► the format at the highest quality that fits ─► [remainder] file
    file ─► the format ─► bicubic to d times ─► cut to the size of the original ─► image

If d does not divide a side, the small side is rounded up. One byte before the file, 16 * columns + rows, gives the
number of surplus pixels after enlarging. If d divides both sides, there is no such byte and the file is in its own
format. No file of these formats begins with such a byte.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from ...errors import BitstreamError, BudgetError, InputError

__all__ = ["DIVISORS", "FORMATS", "Classical", "Format", "enlarge", "shrink"]

DIVISORS = (1, 2, 4)


@dataclass(frozen=True)
class Format:
    """A format of Pillow.

    Attributes:
        pillow: its name in Pillow.
        options: options for saving, apart from the quality.
        low, high: the range of qualities.
        option: the name of the quality's option.
        plugin: a module that registers the format.
    """

    pillow: str
    options: dict[str, Any] = field(default_factory=dict)
    low: int = 0
    high: int = 100
    option: str = "quality"
    plugin: str | None = None


FORMATS = {
    "jpeg": Format("JPEG", {"optimize": True, "progressive": True}, low=1, high=95),
    "webp": Format("WEBP", {"method": 6}),
    "avif": Format("AVIF", {"speed": 6}),
    "jxl": Format("JXL", {"effort": 7}, high=99, plugin="pillow_jxl"),
    "heic": Format("HEIF", plugin="pillow_heif"),
    "jp2": Format("JPEG2000", {"irreversible": True, "quality_mode": "rates", "no_jp2": True}, option="quality_layers"),
}
LAYER_STEP = 1.08  # JPEG 2000 has no quality: 100 means a ratio of 5:1, 0 of 11,000:1, with this factor between steps


class Classical:
    """One format at one size.

    Args:
        name: of `FORMATS`.
        divisor: 1, 2 or 4.

    Raises:
        InputError: this Pillow does not support the format.
    """

    def __init__(self, name: str, divisor: int = 1) -> None:
        self.format, self.divisor = FORMATS[name], divisor
        register(name, self.format)
        self._files: dict[int, bytes] = {}
        self._image: Image.Image | None = None

    def encode(self, image: Image.Image, bpp: float) -> bytes:
        """The file of the highest quality with at most `bpp` bits per pixel of the original.

        Raises:
            BudgetError: the file of the lowest quality is larger.
        """
        if self._image is not image:
            self._image, self._files = image, {}
        budget = int(bpp * image.width * image.height / 8)
        small, mark = shrink(image, self.divisor)
        low, high = self.format.low - 1, self.format.high + 1
        while high - low > 1:
            quality = (low + high) // 2
            if quality not in self._files:
                self._files[quality] = mark + self._save(small, quality)
            low, high = (quality, high) if len(self._files[quality]) <= budget else (low, quality)
        if low < self.format.low:
            least = len(self._files[self.format.low])
            raise BudgetError(f"the smallest file of this image has {least} bytes; {budget} were allowed")
        return self._files[low]

    def decode(self, data: bytes) -> Image.Image:
        """The image of a file, enlarged to the original's size."""
        mark, data = split_mark(data)
        small = self.open(data)
        if self.divisor == 1:
            return small
        size = (small.width * self.divisor, small.height * self.divisor)
        return enlarge(small.resize(size, Image.Resampling.BICUBIC), mark)

    def open(self, data: bytes) -> Image.Image:
        """The image of the format's own file, RGB.

        Raises:
            BitstreamError: the file is damaged or of another format.
        """
        try:
            return Image.open(io.BytesIO(data), formats=[self.format.pillow]).convert("RGB")
        except (OSError, SyntaxError, ValueError) as error:
            raise BitstreamError(f"not a whole file of {self.format.pillow}") from error

    def _save(self, image: Image.Image, quality: int) -> bytes:
        value: Any = quality
        if self.format.option == "quality_layers":
            value = [5 * LAYER_STEP ** (self.format.high - quality)]
        buffer = io.BytesIO()
        image.save(buffer, self.format.pillow, **{self.format.option: value}, **self.format.options)
        return buffer.getvalue()


def register(name: str, wanted: Format) -> None:
    """Register a format with Pillow.

    Raises:
        InputError: it is not installed.
    """
    import importlib

    try:
        plugin = importlib.import_module(wanted.plugin) if wanted.plugin else None
    except ImportError as error:
        package = str(wanted.plugin).replace("_", "-")
        raise InputError(f"codec {name} needs the package {package}, which is not installed") from error
    if wanted.plugin == "pillow_heif" and plugin:
        plugin.register_heif_opener()
    Image.init()
    if wanted.pillow not in Image.SAVE:
        raise InputError(f"codec {name} needs a Pillow with {wanted.pillow}")


def shrink(image: Image.Image, divisor: int) -> tuple[Image.Image, bytes]:
    """An image at 1/divisor of its size, rounded up, and the byte to put before its file, if any."""
    if divisor == 1:
        return image, b""
    columns, rows = (-side % divisor for side in image.size)
    size = ((image.width + columns) // divisor, (image.height + rows) // divisor)
    mark = bytes([16 * columns + rows]) if columns or rows else b""
    return image.resize(size, Image.Resampling.LANCZOS), mark


def split_mark(data: bytes) -> tuple[tuple[int, int], bytes]:
    """Surplus columns and rows, and the file without the byte before it."""
    if data and 0 < data[0] < 0x40 and data[0] % 16 < 4:
        return divmod(data[0], 16), data[1:]
    return (0, 0), data


def enlarge(large: Image.Image, mark: tuple[int, int]) -> Image.Image:
    """An enlarged image, scaled to the original's size if it has surplus columns or rows."""
    if not any(mark):
        return large
    return large.resize((large.width - mark[0], large.height - mark[1]), Image.Resampling.BICUBIC)
