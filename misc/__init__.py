"""MISC: an image codec for ultra-low bitrates. A photo becomes text, regions and pixels, and is drawn from them.

>>> import misc
>>> data = misc.encode(image, bpp=0.024)
>>> picture = misc.decode(data)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .codec import Codec, decode, encode

__all__ = ["Codec", "decode", "encode"]


def __getattr__(name: str) -> Any:
    """Import the codec when it is first used, so that `import misc` is quick."""
    if name in __all__:
        from . import codec

        return getattr(codec, name)
    raise AttributeError(f"module 'misc' has no attribute {name!r}")
