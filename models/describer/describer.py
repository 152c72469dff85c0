"""Describers: multimodal models that describe an image, all with the same interface.

    image ─► Describer.describe ─► Description ─► misc.bits.text.description

MISC (arXiv 2402.16749) asks its model for three items with a name of at most 3 words and a detail of at most 10, and
for an overall sentence of at most 50 words. `answer` asks and reads the answer; each backend is one file.
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
            items: largest number of items to name and describe, 1 to 16.

        Raises:
            DescriberError: no answer came, or none within the limits after a second request.
        """
        ...


def describer_for(name: str | None, profile: Profile, device: str | None = None) -> Describer:
    """The describer of this name, with its weights loaded.

    Args:
        name: None for the profile's own; `embedded` for the one that this project trained; `http` for an
            OpenAI-compatible endpoint, which the environment names; otherwise the folder or the hub name of an
            image-text-to-text model of transformers.
        device: a torch device; if None, the GPU if there is one, else the CPU.

    Raises:
        InputError: the environment names no endpoint.
        WeightsError: the model is missing or incomplete.
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
