"""Describer and locator of a profile on a common vision tower: what is in an image, and where.

    image ─┬─► vision tower ─┬─► describer ─► Description ─┐ names
           │                 └─► locator ◄─────────────────┘ ─► RegionMaps
           └─► detector, tagger ─► findings, for describer and locator

Each part is loaded when it is first needed. The tower runs once for each image.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from PIL import Image

from ..bits.regions.maps import DEFAULT_GRID, RegionMaps
from ..bits.text.description import Description
from ..errors import InputError, WeightsError
from ..given import check_text
from ..quick_torch import import_torch

if TYPE_CHECKING:
    from torch import Tensor

    from ..profiles import Part, Profile
    from .clip.embedded import ClipHeads
    from .describer.describer import Describer
    from .describer.embedded import EmbeddedDescriber
    from .locator import DenseClip, EmbeddedClip
    from .towers.detector import Detector
    from .towers.efficientnet import EfficientNetLite
    from .towers.importance import WordImportance
    from .towers.tagger import Tagger
    from .towers.text_features import TextTower
    from .towers.vit import VisionTransformer

__all__ = ["Semantics"]


class Semantics:
    """Describer and locator of a profile.

    Args:
        profile: names the weights.
        device: a torch device; if None, the GPU if there is one, else the CPU.
        describer: a name for `misc.models.describer.describer.describer_for`, or a describer; None: the profile's own.
    """

    def __init__(self, profile: Profile, device: str | None = None, describer: str | Describer | None = None) -> None:
        self.profile = profile
        self._device, self.asked = device, describer

    @functools.cached_property
    def device(self) -> str:
        """The given device; else the GPU if there is one, else the CPU."""
        import torch

        return self._device or ("cuda" if torch.cuda.is_available() else "cpu")

    @functools.cached_property
    def tower(self) -> VisionTransformer:
        """The vision tower of describer and locator."""
        import torch

        from .towers.vision import load_vision_tower

        tower = load_vision_tower(self.profile.packages["vit"].sound_path())
        tower.to(torch.device(self.device))
        return tower

    @functools.cached_property
    def embedded_describer(self) -> EmbeddedDescriber:
        """The embedded describer."""
        from ..bits.text.language_model import load_model
        from .describer.embedded import EmbeddedDescriber
        from .describer.network import load_describer

        model = load_describer(self._part("describer").path).to(self.device)
        vocabulary = load_model(self.profile.small_language_model.sound_path()).vocabulary
        return EmbeddedDescriber(self.tower, model, vocabulary, self.detector, self.clip, self.tagger)

    @functools.cached_property
    def detector(self) -> Detector | None:
        """The detector of common objects, if the profile has one."""
        from .towers.detector import Detector

        return Detector(self._part("detector").path) if self.profile.detector else None

    @functools.cached_property
    def classifier(self) -> EfficientNetLite | None:
        """The tagger's network, for the pixel stream to compare drafts by; None if it is not pulled."""
        import torch

        from ..weights.checks import State
        from .towers.tagger import load_classifier

        package = self.profile.packages.get("efficientnet")
        if package is None or package.state() == State.MISSING:
            return None
        with torch.inference_mode(False):  # whatever the caller has set: it is used with gradients
            return load_classifier(package.sound_path()).to(self.device)

    @functools.cached_property
    def tagger(self) -> Tagger | None:
        """The tagger, which names the whole image, if the profile has one."""
        from .towers.tagger import load_tagger

        package = self.profile.packages.get("efficientnet")
        if package is None:
            return None
        subjects = self._part("subjects").path if self.profile.subjects else None
        return load_tagger(package.sound_path(), self.device, subjects)

    @functools.cached_property
    def describer(self) -> Describer:
        """The requested describer; else the hub model that the profile names, else the embedded one."""
        if self.asked == "embedded":
            return self.embedded_describer
        if isinstance(self.asked, str):
            from .describer.describer import describer_for

            return describer_for(self.asked, self.profile, self._device)
        if self.asked is not None:
            return self.asked
        part = self.profile.hub.get("describer")
        if part is None:
            return self.embedded_describer
        from ..weights import hub
        from .describer.transformers import load_describer

        return load_describer(str(hub.locate(part)), self.device)

    @functools.cached_property
    def clip(self) -> EmbeddedClip:
        """The embedded CLIP."""
        from .locator import EmbeddedClip

        return EmbeddedClip(self.tower, self.text_tower, self.clip_heads, self.detector)

    @functools.cached_property
    def clip_heads(self) -> ClipHeads:
        """The embedded CLIP's heads."""
        from .clip.embedded import load_clip_heads

        return load_clip_heads(self._part("locator").path).to(self.device)

    @functools.cached_property
    def text_tower(self) -> TextTower:
        """The embedded CLIP's text tower."""
        from .towers.text_features import load_text_tower

        if "minilm" not in self.profile.packages:
            raise WeightsError(f"profile {self.profile.name} has no text tower")
        return load_text_tower(self.profile.packages["minilm"].sound_path(), self.device)

    @functools.cached_property
    def word_importance(self) -> WordImportance:
        """The importance of a text's words, by the text tower."""
        from .towers.importance import WordImportance

        return WordImportance(lambda texts: self.text_tower.embed(texts).cpu().numpy())

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """(texts, 256) by the embedded CLIP; loads no vision tower."""
        import torch

        with torch.inference_mode():
            return self.clip_heads.encode_text(self.text_tower.embed(texts))

    @functools.cached_property
    def dense_clip(self) -> DenseClip:
        """The locator's CLIP: the hub's CLIP that the profile names, else the embedded one."""
        part = self.profile.hub.get("locator")
        if part is None:
            return self.clip
        from .clip.dense import load_dense_clip

        return load_dense_clip(part, self.device)

    def describe(self, image: Image.Image, items: int = 3) -> Description:
        """The description of an RGB image with at most `items` items."""
        import_torch()
        describe = getattr(self.describer, "describe", None)
        if not callable(describe):
            raise InputError(f"a describer has a method describe(image, items); {self.describer!r} has none")
        described = check_text(describe(image, items))
        if described is None:
            raise InputError("the describer gave None, not a Description of misc.bits.text.description")
        return described

    def see(
        self, image: Image.Image, items: int = 3, grid: int = DEFAULT_GRID
    ) -> tuple[Description, RegionMaps | None]:
        """Description and masks of an image; the embedded models share one run of the tower.

        Args:
            image: RGB.
            items: largest number of items.
            grid: cells of the masks on the shorter side.
        """
        import_torch()
        from .locator import maps_of
        from .towers.vision import patch_tokens, to_input

        if self.profile.hub or self.asked not in (None, "embedded"):
            description = self.describe(image, items)
            return description, self.locate(image, description, grid)
        patches = patch_tokens(self.tower, to_input(image)[None])
        sight = self.embedded_describer.sight(image)
        description = self.embedded_describer.describe_patches(patches[0], items, sight)
        names = [item.name for item in description.items]
        dense = self.clip.write(self.clip.look(patches)[1][0], sight.things if sight else ())
        return description, maps_of(dense, self.clip.embed_texts(names), image.size, grid) if names else None

    def locate(self, image: Image.Image, description: Description, grid: int = DEFAULT_GRID) -> RegionMaps | None:
        """A mask for every item of a description, or None without items.

        Args:
            image: RGB.
            grid: cells on the shorter side, one of GRIDS.
        """
        from .locator import locate

        names = [item.name for item in description.items]
        return locate(self.dense_clip, image, names, grid) if names else None

    def _part(self, name: str) -> Part:
        part: Part | None = getattr(self.profile, name)
        if part is None:
            raise WeightsError(f"profile {self.profile.name} has no {name}")
        if not part.path.is_file():
            raise WeightsError(f"profile {self.profile.name} names a {name} that is missing: {part.path}")
        return part
