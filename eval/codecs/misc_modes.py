"""MISC's modes as codecs: an image is described and located once, for all modes and rates."""

from __future__ import annotations

from typing import Any

from PIL import Image

from ...bits import container
from ...codec import Codec
from ...modes import MODES
from .registry import ONE_RATE

__all__ = ["MiscMode", "micro_bytes"]

MICRO_BPP, MICRO_BYTES = 500e-6, 16  # limit of files in mode micro, and its minimum in bytes for small images


def micro_bytes(image: Image.Image) -> int:
    """Limit of the file of an image in mode micro."""
    return max(MICRO_BYTES, int(MICRO_BPP * image.width * image.height / 8))


class MiscMode:
    """One mode of one profile.

    Args:
        mode: of `misc.modes.MODES`.
        profile: of `misc.profiles.profile_names`, or the path of a TOML file.
        seed: of the decoder; without one, the encoder's choice.
        content: digests of the profile's weights and of a TOML file, which tell runs apart and are not used here.
    """

    def __init__(self, mode: str, profile: str = "embedded", seed: int | None = None, content: str = "") -> None:
        assert mode in MODES
        self.mode, self.seed, self.codec = mode, seed, Codec(profile)
        self._seen: tuple[Image.Image, Any] | None = None

    def encode(self, image: Image.Image, bpp: float) -> bytes:
        """The file, with text and regions from the profile's own models."""
        options: dict[str, Any] = {"mode": self.mode, "seed": self.seed}
        if self.mode != "pixel":
            if self._seen is None or self._seen[0] is not image:
                self._seen = image, self.codec.see(image)
            description, regions = self._seen[1]
            options |= {"description": description}
            if self.mode in ("text+map", "misc"):
                options |= {"regions": regions}
        if self.mode == "micro":
            options |= {"max_bytes": micro_bytes(image)}
        elif self.mode not in ONE_RATE:
            options |= {"bpp": bpp}
        return self.codec.encode(image, **options)

    def decode(self, data: bytes) -> Image.Image:
        """The image as the profile's decoder draws it."""
        return self.codec.decode(data)

    def streams(self, data: bytes) -> dict[str, int]:
        """Bytes of text, regions and pixels, and of the rest of the file."""
        _, sections = container.read(data)
        sizes = {name: len(section.payload) for name, section in sections.items()}
        return {**sizes, "overhead": len(data) - sum(sizes.values())}

    def content(self, data: bytes) -> dict[str, Any]:
        """The text, and each item's name and cells."""
        streams = self.codec.streams(data)
        facts: dict[str, Any] = {}
        names: list[str] = []
        if streams.text is not None:
            facts["text"] = streams.text.overall
            names = [item.name for item in streams.text.items]
        if streams.regions is not None:
            masks = streams.regions.masks.astype(int).tolist()
            names += [f"item {k + 1}" for k in range(len(names), len(masks))]
            facts["items"] = [{"name": name, "rows": rows} for name, rows in zip(names, masks, strict=False)]
        return facts
