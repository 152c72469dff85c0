"""MISC: an image codec for ultra-low bitrates. An image becomes text, regions and pixels, and is drawn from them.

>>> import misc
>>> data = misc.encode(image, bpp=0.024)
>>> drawn = misc.decode(data)

`encode` and `decode` are those of `misc.Codec()`, the embedded profile's codec. All errors are in `misc.errors`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import errors
from .blas_kernels import choose_kernels

if TYPE_CHECKING:
    from .codec import Codec, default_codec
    from .decoder_profile import SamplingChanges

    encode, decode = default_codec().encode, default_codec().decode

__all__ = ["Codec", "SamplingChanges", "decode", "encode", "errors"]

choose_kernels()


def __getattr__(name: str) -> Any:
    """Import the codec when it is first used, so that `import misc` is quick."""
    if name not in __all__:
        raise AttributeError(f"module 'misc' has no attribute {name!r}")
    from . import codec, decoder_profile

    if name in ("encode", "decode"):
        return getattr(codec.default_codec(), name)
    return codec.Codec if name == "Codec" else decoder_profile.SamplingChanges
