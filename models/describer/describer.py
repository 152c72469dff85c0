"""Describers: multimodal models that tell what is in an image, all behind one call.

    image ─► Describer.describe ─► Description ─► misc.bits.text.description

MISC (arXiv 2402.16749) asks its model for three items of at most 3 words, each described in at most 10, and for the
whole in at most 50. `answer` asks and reads the answer; each backend is one file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from PIL import Image

    from ...bits.text.description import Description
    from ...profiles import Profile

__all__ = ["Describer", "describer_for"]


class Describer(Protocol):
    """Anything that describes images."""

    def describe(self, image: Image.Image, items: int = 3) -> Description:
        """What is in an image.

        Args:
            image: RGB, of any size.
            items: how many things to name and describe, at most; between 1 and 16.

        Raises:
            DescriberError: no answer came, or none within the limits after a second, firmer request.
        """
        ...


def describer_for(name: str | None, profile: Profile, device: str | None = None) -> Describer:
    """The describer of this name, its weights loaded.

    Args:
        name: None, the profile's own; `embedded`, the one that this project trained; `http`, an OpenAI-compatible
            endpoint that the environment names; otherwise the folder or the hub name of an image-text-to-text model of
            transformers.
        device: a torch device; the GPU when there is one, else the CPU.

    Raises:
        InputError: the environment names no endpoint.
        WeightsError: the model is not here or not complete.
    """
    if name in (None, "embedded"):
        from ..semantics import Semantics

        semantics = Semantics(profile, device)
        return semantics.embedded_describer if name else semantics.describer
    if name == "http":
        from .endpoint import endpoint_from
        from .http import HttpDescriber

        return HttpDescriber(endpoint_from())
    from .transformers import load_describer

    assert name is not None
    return load_describer(name, device)
